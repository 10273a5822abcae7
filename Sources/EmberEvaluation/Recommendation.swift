import Foundation

/// Which file of a comparison to take, and why, in one sentence.
///
/// The rule is one exchange rate: a file of half the size may cost 5 % more perplexity, one of a
/// quarter 10 %. So the file with the smallest product of perplexity and size^log₂(1.05) is taken,
/// of equal ones the first. Perplexity counts with twice its (paired) error on top, so that a change
/// that may be noise wins nothing.
///
/// Why 5 %: the other way to a smaller file is a model of fewer parameters, and that costs more than
/// 10 % per halving (Llama 2 from 70 over 13 to 7 billion parameters: 3.32, 4.88, 5.47 on
/// WikiText-2). Quantization that costs half of it is worth it. Every file is judged against the first
/// alone, so adding one to the comparison changes the choice only by winning.
///
/// What it is not: it knows neither memory nor speed of the machine, and no text but this one.
public struct Recommendation: Sendable, Equatable {
  /// Of the file, in the order of the comparison.
  public internal(set) var index: Int
  /// One sentence with its full stop.
  public let sentence: String

  /// What half the size may cost.
  static let percentPerHalving = 5.0

  /// - Parameter points: at least one.
  package init(_ points: [LossPoint]) {
    let costs = points.map { Self.cost($0, baseline: points[0]) }
    let index = costs.indices.min { costs[$0] < costs[$1] } ?? 0
    self.index = index
    let reasons =
      index == 0 ? Self.reasonsForFirst(points, costs) : Self.reasons(points, taking: index)
    sentence = "Take \(points[index].name): " + reasons.joined(separator: "; ") + "."
  }

  /// Logarithm of the product that the rule compares, relative to the first file.
  private static func cost(_ point: LossPoint, baseline: LossPoint) -> Double {
    let ratio = Double(max(1, point.bytes)) / Double(max(1, baseline.bytes))
    return log1p((point.changePercent + 2 * point.errorPercent) / 100)
      + log1p(percentPerHalving / 100) * log2(ratio)
  }

  private static func reasonsForFirst(_ points: [LossPoint], _ costs: [Double]) -> [String] {
    let next = points.indices.dropFirst().min { costs[$0] < costs[$1] }
    guard let next else { return ["there is no other file to choose from"] }
    let size =
      points[next].bytes == points[0].bytes ? "the same size" : size(points[next], of: points[0])
    return [
      "no other file is a better trade",
      "the next best, \(points[next].name), has \(loss(points[next])) at \(size)",
    ]
  }

  private static func reasons(_ points: [LossPoint], taking index: Int) -> [String] {
    let taken = points[index]
    var reasons = ["\(loss(taken)) at \(size(taken, of: points[0])) of \(points[0].name)"]
    // The neighbours on the front: what more bytes would gain, and what fewer would cost.
    let front = zip(points.indices, points.onParetoFront).filter(\.1).map(\.0)
    let larger = front.filter { $0 != 0 && points[$0].bytes > taken.bytes }
      .min { points[$0].bytes < points[$1].bytes }
    if let larger {
      let (more, ratio) = (points[larger], Double(points[larger].bytes) / Double(taken.bytes))
      let factor = "\(more.name), \(Comparison.fixed(ratio, 2)) times as large,"
      if !isBetter(more, than: taken) {
        reasons.append("\(factor) is not measurably better")
      } else if more.isMeasurable {
        reasons.append("\(factor) has \(more.change)")
      } else {
        reasons.append("\(factor) has no measurable loss (\(more.change))")
      }
    }
    let smaller = front.filter { points[$0].bytes < taken.bytes }
      .max { points[$0].bytes < points[$1].bytes }
    if let smaller {
      reasons.append(
        "\(points[smaller].name), \(percent(points[smaller], of: points[0])) of the size,"
          + " costs too much: \(points[smaller].change)")
    }
    return reasons
  }

  private static func loss(_ point: LossPoint) -> String {
    if point.isMeasurable { return "\(point.change) perplexity" }
    return point.changePercent == 0 && point.errorPercent == 0
      ? "the same perplexity" : "no measurable loss of perplexity (\(point.change))"
  }

  /// Each was paired with the first file, not with the other, so their errors are added as if they
  /// were independent. What quantization does to two files of one model mostly is.
  private static func isBetter(_ point: LossPoint, than other: LossPoint) -> Bool {
    let error =
      (point.errorPercent * point.errorPercent + other.errorPercent * other.errorPercent)
      .squareRoot()
    return other.changePercent - point.changePercent > 2 * error
  }

  private static func size(_ point: LossPoint, of baseline: LossPoint) -> String {
    let ratio = Double(point.bytes) / Double(max(1, baseline.bytes))
    if point.bytes == baseline.bytes { return "the size" }
    return ratio > 1
      ? "\(Comparison.fixed(ratio, 2)) times the size"
      : percent(point, of: baseline) + " of the size"
  }

  private static func percent(_ point: LossPoint, of baseline: LossPoint) -> String {
    let share = 100 * Double(point.bytes) / Double(max(1, baseline.bytes))
    return Comparison.fixed(share, share > 99 || share < 10 ? 1 : 0) + " %"
  }
}

extension Comparison {
  /// Which of the files to take. Only sizes and perplexities decide, of the rows whose cache is
  /// stored as the first one's.
  public var recommendation: Recommendation {
    var recommendation = Recommendation(points)
    recommendation.index = pointRows[recommendation.index]
    return recommendation
  }
}
