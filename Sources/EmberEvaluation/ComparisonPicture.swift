import Foundation

/// Loss over size: the files of a comparison as points, the Pareto front as a line through those
/// that no other file beats.
package struct ComparisonPicture {
  private typealias Point = SVGDocument.Point
  private typealias Box = LabelPlacement.Box

  private let points: [LossPoint]
  private let title: String
  private let subtitle: [String]
  private let recommendation: Recommendation
  private let isOnFront: [Bool]

  /// - Parameters:
  ///   - points: at least one; the first is the one that the changes are from.
  ///   - subtitle: lines below the title.
  package init(_ points: [LossPoint], title: String, subtitle: [String]) {
    self.points = points
    self.title = title
    self.subtitle = subtitle
    recommendation = Recommendation(points)
    isOnFront = points.onParetoFront
  }

  /// The SVG. Where labels would not fit, the picture grows.
  package func svg() -> String {
    for size in [1.0, 1.25, 1.6, 2, 2.5, 3.2] {
      if let text = drawn(scale: size, force: size > 3) { return text }
    }
    return ""
  }

  // MARK: Geometry

  private struct Frame {
    let width, height, left, right, top, bottom: Double
    let x, y: Axis
    /// Bytes per unit of the x axis, and its name.
    let unit: (bytes: Double, name: String)
  }

  private func frame(scale: Double) -> Frame {
    let (width, height) = (760 * scale, 340 * scale + 120 + 16 * Double(subtitle.count))
    let (left, right) = (66.0, width - 22)
    let (top, bottom) = (52 + 16 * Double(subtitle.count), height - 68)
    let largest = Double(points.map(\.bytes).max() ?? 0)
    let unit: (Double, String) =
      largest >= 1e9 ? (1e9, "GB") : largest >= 1e6 ? (1e6, "MB") : (1e3, "kB")
    let sizes = points.map { Double($0.bytes) / unit.0 }
    let xs = Self.padded(
      sizes.min() ?? 0, sizes.max() ?? 1, by: 0.12, least: 0.2 * largest / unit.0)
    let ys = lossRange
    return Frame(
      width: width, height: height, left: left, right: right, top: top, bottom: bottom,
      x: Axis(max(0, xs.lowerBound)...xs.upperBound, pixels: (left, right), ticks: 8),
      y: Axis(ys, pixels: (bottom, top), ticks: 7), unit: unit)
  }

  /// A range with a margin on both sides, of at least some length.
  private static func padded(
    _ low: Double, _ high: Double, by share: Double, least: Double
  ) -> ClosedRange<Double> {
    let extra = max(0, least - (high - low)) / 2
    let margin = (high - low + 2 * extra) * share
    return (low - extra - margin)...(high + extra + margin)
  }

  /// The losses that the picture shows to scale. A file that loses many times as much as all others
  /// would press those onto one line: it is drawn at the upper edge, with an arrow.
  private var lossRange: ClosedRange<Double> {
    let tops = points.map { $0.changePercent + $0.errorPercent }.sorted()
    var high = tops.last ?? 0
    // Only where two files and the first remain to scale.
    for index in tops.indices.dropFirst(3) where tops[index] > 6 * max(tops[index - 1], 0.1) {
      high = tops[index - 1]
      break
    }
    let low = min(0, points.map { $0.changePercent - $0.errorPercent }.min() ?? 0)
    return Self.padded(low, max(0, high), by: 0.14, least: 0.1)
  }

  private func isCut(_ point: LossPoint, _ frame: Frame) -> Bool {
    point.changePercent > frame.y.values.upperBound
  }

  private func place(_ point: LossPoint, _ frame: Frame) -> Point {
    Point(
      x: frame.x.position(Double(point.bytes) / frame.unit.bytes),
      y: isCut(point, frame) ? frame.top + 16 : frame.y.position(point.changePercent))
  }

  // MARK: Drawing

  /// - Parameter force: leaves out labels that do not fit, instead of returning nil.
  private func drawn(scale: Double, force: Bool) -> String? {
    let frame = frame(scale: scale)
    let labels = labels(frame)
    guard force || labels.count == points.count else { return nil }
    var picture = SVGDocument(
      width: frame.width, height: frame.height, title: title,
      description: recommendation.sentence)
    picture.text(title, at: Point(x: 16, y: 26), size: 16, isBold: true)
    for (index, line) in subtitle.enumerated() {
      picture.text(line, at: Point(x: 16, y: 45 + 16 * Double(index)))
    }
    drawAxes(frame, in: &picture)
    drawFront(frame, in: &picture)
    for index in points.indices { drawPoint(index, frame, in: &picture) }
    for (index, box) in labels { drawLabel(index, box, frame, in: &picture) }
    return picture.rendered()
  }

  private func drawAxes(_ frame: Frame, in picture: inout SVGDocument) {
    for tick in frame.y.ticks {
      let y = frame.y.position(tick)
      picture.line(
        [Point(x: frame.left, y: y), Point(x: frame.right, y: y)], stroke: .ink,
        opacity: tick == 0 ? 0.8 : 0.22)
      let sign = tick > 0 ? "+" : ""
      picture.text(
        sign + frame.y.text(tick).replacing("-", with: "−"),
        at: Point(x: frame.left - 8, y: y + 4), anchor: .end)
    }
    picture.line(
      [Point(x: frame.left, y: frame.bottom), Point(x: frame.right, y: frame.bottom)],
      stroke: .ink)
    for tick in frame.x.ticks {
      let x = frame.x.position(tick)
      picture.line(
        [Point(x: x, y: frame.bottom), Point(x: x, y: frame.bottom + 5)], stroke: .ink)
      picture.text(
        frame.x.text(tick), at: Point(x: x, y: frame.bottom + 19), anchor: .middle)
    }
    picture.text(
      "file size, \(frame.unit.name)",
      at: Point(x: (frame.left + frame.right) / 2, y: frame.bottom + 37), anchor: .middle)
    picture.upwardText(
      "perplexity, % from \(Self.shortened(points[0].name))",
      at: Point(x: 18, y: (frame.top + frame.bottom) / 2))
    picture.text(
      "Bars: ± one standard error of the paired change. Line: files that no other beats in both."
        + " Ring: the one to take.", at: Point(x: 16, y: frame.height - 12), size: 11)
  }

  private func drawFront(_ frame: Frame, in picture: inout SVGDocument) {
    picture.line(frontLine(frame), stroke: .accent, width: 2, opacity: 0.6)
  }

  private func frontLine(_ frame: Frame) -> [Point] {
    points.indices.filter { isOnFront[$0] && !isCut(points[$0], frame) }
      .sorted { (points[$0].bytes, $0) < (points[$1].bytes, $1) }
      .map { place(points[$0], frame) }
  }

  private func drawPoint(_ index: Int, _ frame: Frame, in picture: inout SVGDocument) {
    let (point, center) = (points[index], place(points[index], frame))
    let color: SVGDocument.Color = isOnFront[index] ? .accent : .ink
    let opacity = isOnFront[index] ? 1 : 0.6
    if isCut(point, frame) {
      picture.line(
        [
          Point(x: center.x - 6, y: center.y - 8), Point(x: center.x, y: center.y - 14),
          Point(x: center.x + 6, y: center.y - 8),
        ], stroke: color, width: 2, opacity: opacity)
    } else if point.errorPercent > 0 {
      let top = max(frame.top, frame.y.position(point.changePercent + point.errorPercent))
      let bottom = frame.y.position(point.changePercent - point.errorPercent)
      picture.line(
        [Point(x: center.x, y: top), Point(x: center.x, y: bottom)], stroke: color, width: 1.5,
        opacity: opacity)
      for y in [top, bottom] {
        picture.line(
          [Point(x: center.x - 4, y: y), Point(x: center.x + 4, y: y)], stroke: color, width: 1.5,
          opacity: opacity)
      }
    }
    picture.circle(at: center, radius: 4.5, fill: color, opacity: opacity)
    if index == recommendation.index {
      picture.circle(at: center, radius: 9, stroke: .highlight)
    }
  }

  // MARK: Labels

  private static let lineHeight = 14.0

  private func lines(_ index: Int) -> (name: String, change: String) {
    let point = points[index]
    return (Self.shortened(point.name), index == 0 ? "" : point.change)
  }

  /// Long names lose their middle.
  private static func shortened(_ name: String) -> String {
    name.count <= 36 ? name : "\(name.prefix(17))…\(name.suffix(18))"
  }

  private func labels(_ frame: Frame) -> [(index: Int, box: Box)] {
    // The one to take chooses first, then those on the front.
    let order = points.indices.sorted { rank($0) < rank($1) }
    let labels = order.map { index in
      let text = lines(index)
      return LabelPlacement.Label(
        anchor: place(points[index], frame),
        width: max(
          SVGDocument.textWidth(text.name, size: 12, isBold: index == recommendation.index),
          SVGDocument.textWidth(text.change, size: 11)),
        height: text.change.isEmpty ? Self.lineHeight : 2 * Self.lineHeight)
    }
    let area = Box(
      x: frame.left + 4, y: frame.top, width: frame.right - frame.left + 14,
      height: frame.bottom - frame.top - 4)
    let spots = points.indices.map { index in
      let (center, radius) = (
        place(points[index], frame), index == recommendation.index ? 10.0 : 6.0
      )
      return Box(x: center.x - radius, y: center.y - radius, width: 2 * radius, height: 2 * radius)
    }
    let boxes = LabelPlacement.place(
      labels, clearOf: spots, avoiding: obstacles(frame), in: area)
    return zip(order, boxes).compactMap { index, box in box.map { (index, $0) } }
  }

  private func rank(_ index: Int) -> (Int, Int) {
    (index == recommendation.index ? 0 : isOnFront[index] ? 1 : 2, index)
  }

  private func obstacles(_ frame: Frame) -> [Box] {
    // The line that the losses are measured from.
    let zero = frame.y.position(0)
    var boxes = [Box(x: frame.left, y: zero - 1, width: frame.right - frame.left, height: 2)]
    for point in points {
      guard !isCut(point, frame) else { continue }
      let center = place(point, frame)
      let top = frame.y.position(point.changePercent + point.errorPercent)
      let bottom = frame.y.position(point.changePercent - point.errorPercent)
      boxes.append(Box(x: center.x - 4, y: top, width: 8, height: bottom - top))
    }
    let line = frontLine(frame)
    for (from, to) in zip(line, line.dropFirst()) {
      for step in 0...20 {
        let share = Double(step) / 20
        let (x, y) = (from.x + share * (to.x - from.x), from.y + share * (to.y - from.y))
        boxes.append(Box(x: x - 2, y: y - 2, width: 4, height: 4))
      }
    }
    return boxes
  }

  private func drawLabel(
    _ index: Int, _ box: Box, _ frame: Frame, in picture: inout SVGDocument
  ) {
    let center = place(points[index], frame)
    let color: SVGDocument.Color =
      index == recommendation.index ? .highlight : isOnFront[index] ? .accent : .ink
    let text = lines(index)
    // To the side where the point is, so that text and point stay together.
    let isLeft = box.x + box.width <= center.x
    let x = isLeft ? box.x + box.width : box.x
    let nearest = Point(
      x: min(max(center.x, box.x), box.x + box.width),
      y: min(max(center.y, box.y), box.y + box.height))
    let (dx, dy) = (nearest.x - center.x, nearest.y - center.y)
    let distance = (dx * dx + dy * dy).squareRoot()
    if distance > 20 {
      let start = Point(x: center.x + dx * 9 / distance, y: center.y + dy * 9 / distance)
      picture.line([start, nearest], stroke: color, opacity: 0.5)
    }
    picture.text(
      text.name, at: Point(x: x, y: box.y + 11), anchor: isLeft ? .end : .start, color: color,
      isBold: index == recommendation.index)
    if !text.change.isEmpty {
      picture.text(
        text.change, at: Point(x: x, y: box.y + 11 + Self.lineHeight), size: 11,
        anchor: isLeft ? .end : .start)
    }
  }
}

extension Comparison {
  /// The comparison as a picture in SVG: perplexity over file size, errors as bars, the Pareto
  /// front as a line.
  public func svg() -> String {
    ComparisonPicture(
      points, title: "Perplexity over size" + (textName.map { ", on \($0)" } ?? ""),
      subtitle: [self.protocol.words, "\(tokensScored) tokens scored, in \(windows) windows"]
    ).svg()
  }
}
