import Foundation

/// A survey's outliers where they lie: a row of marks for each matrix, columns from left to right,
/// matrices with the same inputs below each other; then the histogram.
package struct OutlierPicture {
  private typealias Point = SVGDocument.Point
  private typealias Level = OutlierSurvey.Mark.Level

  private let survey: OutlierSurvey
  private let title: String
  private let subtitle: String
  private let panels: [Panel]
  private let rowHeight: Double

  private struct Panel {
    let name: String
    let matrices: [OutlierSurvey.Matrix]
    /// Of its widest matrix.
    var columns: Int { matrices.map(\.columns).max() ?? 1 }
  }

  private static let width = 860.0
  /// Where the marks are: between the names and the counts.
  private static let left = 210.0
  private static let right = 770.0
  private static let top = 78.0
  /// Above and below the rows of a panel.
  private static let panelHead = 24.0
  private static let panelFoot = 42.0
  private static let histogramHeight = 150.0

  package init(_ survey: OutlierSurvey, title: String, subtitle: String) {
    self.survey = survey
    self.title = title
    self.subtitle = subtitle
    panels = OutlierSurvey.Input.allCases.map { input in
      Panel(name: input.words, matrices: survey.matrices.filter { $0.input == input })
    }.filter { !$0.matrices.isEmpty }
    // A large model has hundreds of matrices.
    rowHeight = survey.matrices.count > 300 ? 4 : survey.matrices.count > 60 ? 11 : 13
  }

  package func svg() -> String {
    let rows = panels.reduce(0.0) {
      $0 + Self.panelHead + Self.panelFoot + Double($1.matrices.count) * rowHeight
    }
    let height = Self.top + rows + Self.histogramHeight + 90
    var picture = SVGDocument(
      width: Self.width, height: height, title: title, description: subtitle)
    picture.text(title, at: Point(x: 16, y: 26), size: 16, isBold: true)
    picture.text(subtitle, at: Point(x: 16, y: 45))
    drawKey(in: &picture)
    var y = Self.top
    for panel in panels {
      draw(panel, at: y, in: &picture)
      y += Self.panelHead + Self.panelFoot + Double(panel.matrices.count) * rowHeight
    }
    drawHistogram(at: y + 18, in: &picture)
    return picture.rendered()
  }

  private func drawKey(in picture: inout SVGDocument) {
    var x = 16.0
    for (level, words) in [
      (Level.carrying, "columns with outliers in 6 % of the rows or more"),
      (.many, "with four times the mean"), (.few, "with fewer"),
    ] {
      picture.strokes(
        [(x: x, length: 10)], y: 61, height: 9, stroke: level.color, opacity: level.opacity)
      picture.text(words, at: Point(x: x + 16, y: 65), size: 11)
      x += 30 + SVGDocument.textWidth(words, size: 11)
    }
    picture.text(
      "outliers", at: Point(x: Self.right + 74, y: 65), size: 11, anchor: .end)
  }

  // MARK: Columns

  private func draw(_ panel: Panel, at top: Double, in picture: inout SVGDocument) {
    let columns = Double(panel.columns)
    let axis = Axis(0...columns, pixels: (Self.left, Self.right), ticks: 9)
    picture.text(panel.name, at: Point(x: Self.left, y: top + 15), isBold: true)
    if rowHeight > 8 {
      picture.text(
        "layer, matrix", at: Point(x: Self.left - 10, y: top + 15), size: 11, anchor: .end)
    }
    let (first, last) = (
      top + Self.panelHead, top + Self.panelHead + Double(panel.matrices.count) * rowHeight
    )
    for tick in axis.ticks {
      let x = axis.position(tick)
      picture.line([Point(x: x, y: first), Point(x: x, y: last + 4)], stroke: .ink, opacity: 0.2)
      picture.text(axis.text(tick), at: Point(x: x, y: last + 17), size: 11, anchor: .middle)
    }
    picture.text(
      "column", at: Point(x: Self.left - 10, y: last + 17), size: 11, anchor: .end)
    var layer: Int?
    for (index, matrix) in panel.matrices.enumerated() {
      let top = first + Double(index) * rowHeight
      let y = top + rowHeight / 2
      // A line between layers, and every name where there is room for it.
      let isFirst = index == 0 || matrix.layer != layer
      layer = matrix.layer
      if isFirst, index > 0 {
        picture.line(
          [Point(x: 16, y: top), Point(x: Self.right + 74, y: top)], stroke: .ink, opacity: 0.2)
      }
      if rowHeight > 8 {
        picture.text(
          Self.shortName(matrix), at: Point(x: Self.left - 10, y: y + 3.5), size: rowHeight - 3,
          anchor: .end)
        picture.text(
          matrix.count == 0 ? "–" : Self.grouped(matrix.count),
          at: Point(x: Self.right + 74, y: y + 3.5), size: rowHeight - 3, anchor: .end)
      } else if isFirst, let layer, layer % 10 == 0 {
        picture.text(
          "layer \(layer)", at: Point(x: Self.left - 10, y: y + 4), size: 10, anchor: .end)
      }
      // The matrix itself, as wide as it has columns.
      picture.strokes(
        [(x: Self.left, length: axis.position(Double(matrix.columns)) - Self.left)], y: y,
        height: rowHeight - 2, stroke: .ink, opacity: 0.1)
      let parts = Double(min(matrix.columns, OutlierSurvey.maximumParts))
      let scale = (axis.position(Double(matrix.columns)) - Self.left) / parts
      for level in Level.allCases {
        picture.strokes(
          spans(matrix.marks.filter { $0.level == level }, scale: scale), y: y,
          height: rowHeight - 2, stroke: level.color, opacity: level.opacity)
      }
    }
  }

  /// Marks that touch become one; each is wide enough to be seen.
  private func spans(
    _ marks: [OutlierSurvey.Mark], scale: Double
  ) -> [(x: Double, length: Double)] {
    var spans: [(first: Int, count: Int)] = []
    for mark in marks {
      if let last = spans.last, last.first + last.count == mark.part {
        spans[spans.count - 1].count += 1
      } else {
        spans.append((mark.part, 1))
      }
    }
    return spans.map {
      (x: Self.left + Double($0.first) * scale, length: max(1.5, Double($0.count) * scale))
    }
  }

  /// `2 attention.query` of `layers.2.attention.query.weight`.
  private static func shortName(_ matrix: OutlierSurvey.Matrix) -> String {
    var name = matrix.name[...]
    if matrix.layer != nil { name = name.dropFirst("layers.".count) }
    if name.hasSuffix(".weight") { name = name.dropLast(".weight".count) }
    guard matrix.layer != nil, let dot = name.firstIndex(of: ".") else { return String(name) }
    return "\(name[..<dot])  \(name[name.index(after: dot)...])"
  }

  private static func grouped(_ count: Int) -> String {
    if count < 10_000 { return "\(count)" }
    return count < 1_000_000
      ? String(format: "%.1fk", Double(count) / 1e3) : String(format: "%.2fM", Double(count) / 1e6)
  }

  // MARK: Histogram

  private func drawHistogram(at top: Double, in picture: inout SVGDocument) {
    let bottom = top + 20 + Self.histogramHeight
    picture.text(
      "Outliers against their blocks: |outlier| / (block's scale × largest code)",
      at: Point(x: 16, y: top + 2), isBold: true)
    let most = survey.histogram.max() ?? 0
    // Room for the counts above the bars.
    let axis = Axis(0...(Double(max(1, most)) * 1.12), pixels: (bottom, top + 20), ticks: 4)
    let step = (Self.right - Self.left) / Double(survey.histogram.count)
    picture.line(
      [Point(x: Self.left, y: bottom), Point(x: Self.right, y: bottom)], stroke: .ink)
    for (index, count) in survey.histogram.enumerated() {
      let x = Self.left + Double(index) * step
      let y = axis.position(Double(count))
      if count > 0 {
        picture.rectangle(
          at: Point(x: x + 3, y: y), width: step - 6, height: bottom - y, fill: .accent)
        picture.text(
          Self.grouped(count), at: Point(x: x + step / 2, y: y - 5), size: 11, anchor: .middle)
      }
      picture.text(
        OutlierSurvey.bucketName(index), at: Point(x: x + step / 2, y: bottom + 16), size: 11,
        anchor: .middle)
    }
  }
}

extension OutlierSurvey.Mark.Level {
  fileprivate var color: SVGDocument.Color { self == .carrying ? .highlight : .accent }

  fileprivate var opacity: Double {
    switch self {
    case .few: 0.22
    case .many: 0.7
    case .carrying: 1
    }
  }
}

extension OutlierSurvey.Input {
  /// What the columns of such matrices are.
  package var words: String {
    switch self {
    case .residual: "Dimensions of the residual stream"
    case .attentionOutput: "Outputs of the heads"
    case .feedForward: "Inside of the feed-forward"
    }
  }
}

extension OutlierSurvey {
  /// `< 1`, `2–4`, `256 +`
  package static func bucketName(_ index: Int) -> String {
    let (from, to) = buckets[index]
    if index == 0 { return "< 1" }
    return to.isFinite ? "\(Int(from))–\(Int(to))" : "\(Int(from)) +"
  }

  /// Where the outliers lie, as a picture in SVG.
  public func svg() -> String {
    let name = file.split(separator: "/").last.map(String.init) ?? file
    let share = weights == 0 ? 0 : 100 * Double(count) / Double(weights)
    return OutlierPicture(
      self, title: "Outliers of \(name)",
      subtitle: "\(count) weights in fp16: \(Comparison.fixed(share, 3)) % of the weights in blocks"
    ).svg()
  }
}
