/// What a pass over the weights takes, by the number of its tokens, learned from passes that were
/// timed.
///
/// A single token has a figure of its own, the median of the last five. Passes of more lie on a
/// line, fitted by least squares; what was timed weighs less the longer ago it was. Where weights
/// come from memory, arithmetic makes the line steep: 16 tokens take 6 to 8 times as long as one
/// (q4, two cores of a Zen 3 server). Where they come from a disk it is nearly flat.
package struct PassCost: Sendable {
  private var singles: [Double] = []
  private var oldest = 0
  private var line = Line()

  private static let singleCount = 5
  private static let memory = 0.9

  package init() { singles.reserveCapacity(Self.singleCount) }

  /// How many single tokens were timed, at most 5.
  package var singleCount: Int { singles.count }

  /// What passes are expected to take, or nil before the first single token was timed.
  package var expectation: Expectation? {
    guard let single else { return nil }
    var line = line
    // A line needs two points: that of the single token, and before others are known the
    // assumption that each further token takes a quarter as long.
    line.add(x: 1, y: single, weight: 0.2)
    line.add(x: 16, y: single * 4.75, weight: 0.02)
    let (intercept, slope) = line.fitted
    return Expectation(single: single, intercept: intercept, slope: slope)
  }

  package struct Expectation: Sendable {
    package let single: Double
    let intercept: Double
    let slope: Double

    /// Of a pass of `tokens`, at least 1.
    package func seconds(tokens: Int) -> Double {
      tokens <= 1 ? single : max(intercept + slope * Double(tokens), single / 2)
    }
  }

  package mutating func record(tokens: Int, seconds: Double) {
    if tokens <= 1 {
      if singles.count < Self.singleCount {
        singles.append(seconds)
      } else {
        singles[oldest] = seconds
        oldest = (oldest + 1) % Self.singleCount
      }
      return
    }
    // Something else on the machine may have held a pass up; it must not count for long.
    let bound = expectation.map { 4 * $0.seconds(tokens: tokens) } ?? seconds
    line.forget(Self.memory)
    line.add(x: Double(tokens), y: min(seconds, bound), weight: 1)
  }

  private var single: Double? {
    // The one that half of the others are below; so few that sorting is not worth an array.
    singles.first { candidate in
      let below = singles.count { $0 < candidate }
      let equal = singles.count { $0 == candidate }
      let middle = singles.count / 2
      return below <= middle && middle < below + equal
    }
  }
}

/// A line of least squares through weighted points.
private struct Line: Sendable {
  private var weight = 0.0
  private var x = 0.0
  private var y = 0.0
  private var xx = 0.0
  private var xy = 0.0

  mutating func add(x newX: Double, y newY: Double, weight newWeight: Double) {
    weight += newWeight
    x += newWeight * newX
    y += newWeight * newY
    xx += newWeight * newX * newX
    xy += newWeight * newX * newY
  }

  mutating func forget(_ memory: Double) {
    weight *= memory
    x *= memory
    y *= memory
    xx *= memory
    xy *= memory
  }

  /// More tokens never take less time, so the line does not fall.
  var fitted: (intercept: Double, slope: Double) {
    let spread = xx - x * x / weight
    let slope = spread > 0 ? max(0, (xy - x * y / weight) / spread) : 0
    return (y / weight - slope * x / weight, slope)
  }
}
