import EmberFormat

/// A picture in SVG 1.1, made of a few primitives in the order of the calls.
///
/// ```swift
/// var picture = SVGDocument(width: 200, height: 100, title: "A circle")
/// picture.circle(at: Point(x: 100, y: 50), radius: 20, fill: .accent)
/// let text = picture.rendered()
/// ```
///
/// It has no background, and colours that can be read on white and on black alike, so that it fits
/// a light page and a dark one. Equal calls give equal bytes. Every text is escaped: names of files
/// come from strangers. Coordinates are in pixels, y downwards, written to a hundredth.
package struct SVGDocument: Sendable {
  package let width, height: Double
  private let title: String
  private let description: String
  private var body = ""

  package struct Point: Sendable, Equatable {
    package var x, y: Double

    package init(x: Double, y: Double) {
      self.x = x
      self.y = y
    }
  }

  /// Each has a contrast of at least 3 : 1 to white and to black, those for text 4.5 : 1.
  package enum Color: String, Sendable {
    /// Text and axes.
    case ink = "#767676"
    /// What the picture is about.
    case accent = "#3a7cc2"
    /// The one thing to look at.
    case highlight = "#c8602c"
  }

  package enum Anchor: String, Sendable { case start, middle, end }

  /// - Parameters:
  ///   - title: what viewers and screen readers call the picture.
  ///   - description: what it shows, in words.
  package init(width: Double, height: Double, title: String, description: String = "") {
    self.width = width
    self.height = height
    self.title = title
    self.description = description
  }

  /// A line through the points.
  package mutating func line(
    _ points: [Point], stroke: Color, width: Double = 1, opacity: Double = 1, dashes: String? = nil
  ) {
    let list = points.map { "\(number($0.x)),\(number($0.y))" }.joined(separator: " ")
    body += #"<polyline points="\#(list)" fill="none" stroke="\#(stroke.rawValue)""#
    body += #" stroke-width="\#(number(width))"\#(opacityAttribute(opacity))"#
    if let dashes { body += #" stroke-dasharray="\#(escaped(dashes))""# }
    body += "/>\n"
  }

  /// Horizontal strokes of one height, as one element: far smaller than a rectangle each.
  ///
  /// - Parameter spans: left end and length of each.
  package mutating func strokes(
    _ spans: [(x: Double, length: Double)], y: Double, height: Double, stroke: Color,
    opacity: Double = 1
  ) {
    guard !spans.isEmpty else { return }
    let path = spans.map { "M\(number($0.x)) \(number(y))h\(number($0.length))" }.joined()
    body += #"<path d="\#(path)" fill="none" stroke="\#(stroke.rawValue)""#
    body += #" stroke-width="\#(number(height))"\#(opacityAttribute(opacity))/>"# + "\n"
  }

  package mutating func rectangle(
    at corner: Point, width: Double, height: Double, fill: Color, opacity: Double = 1
  ) {
    body += #"<rect x="\#(number(corner.x))" y="\#(number(corner.y))""#
    body += #" width="\#(number(width))" height="\#(number(height))" fill="\#(fill.rawValue)""#
    body += "\(opacityAttribute(opacity))/>\n"
  }

  /// A disc, or a ring where `stroke` is given.
  package mutating func circle(
    at center: Point, radius: Double, fill: Color? = nil, stroke: Color? = nil, opacity: Double = 1
  ) {
    body += #"<circle cx="\#(number(center.x))" cy="\#(number(center.y))" r="\#(number(radius))""#
    body += #" fill="\#(fill?.rawValue ?? "none")""#
    if let stroke { body += #" stroke="\#(stroke.rawValue)" stroke-width="2""# }
    body += "\(opacityAttribute(opacity))/>\n"
  }

  /// One line of text; the point is on its base line.
  package mutating func text(
    _ string: String, at point: Point, size: Double = 12, anchor: Anchor = .start,
    color: Color = .ink, isBold: Bool = false, opacity: Double = 1
  ) {
    body += #"<text x="\#(number(point.x))" y="\#(number(point.y))" font-size="\#(number(size))""#
    body += #" text-anchor="\#(anchor.rawValue)" fill="\#(color.rawValue)""#
    if isBold { body += #" font-weight="bold""# }
    body += "\(opacityAttribute(opacity))>\(escaped(string))</text>\n"
  }

  /// Text that reads upwards, centred on the point.
  package mutating func upwardText(_ string: String, at point: Point, size: Double = 12) {
    let (x, y) = (number(point.x), number(point.y))
    body += #"<text x="\#(x)" y="\#(y)" font-size="\#(number(size))" text-anchor="middle""#
    body += #" fill="\#(Color.ink.rawValue)" transform="rotate(-90 \#(x) \#(y))">"#
    body += "\(escaped(string))</text>\n"
  }

  /// The whole document, with a line end.
  package func rendered() -> String {
    let (w, h) = (number(width), number(height))
    var text = #"<?xml version="1.0" encoding="UTF-8"?>"# + "\n"
    text += #"<svg xmlns="http://www.w3.org/2000/svg" width="\#(w)" height="\#(h)""#
    text += #" viewBox="0 0 \#(w) \#(h)" role="img""#
    text += #" font-family="Helvetica, Arial, 'Liberation Sans', sans-serif">"# + "\n"
    text += "<title>\(escaped(title))</title>\n"
    if !description.isEmpty { text += "<desc>\(escaped(description))</desc>\n" }
    return text + body + "</svg>\n"
  }

  /// About how wide a text becomes, rather too wide: fonts differ between machines.
  package static func textWidth(_ string: String, size: Double, isBold: Bool = false) -> Double {
    let units = string.unicodeScalars.reduce(0.0) { sum, scalar in
      switch scalar {
      case "i", "j", "l", ".", ",", ":", ";", "|", "'", "I", " ": sum + 0.32
      case "m", "w", "M", "W", "%": sum + 0.9
      case "A"..."Z", "±", "+", "−": sum + 0.7
      // East Asian letters and emoji are as wide as high.
      default: sum + (scalar.value < 0x1100 ? 0.58 : 1.1)
      }
    }
    return units * size * (isBold ? 1.07 : 1)
  }

  private func opacityAttribute(_ opacity: Double) -> String {
    opacity == 1 ? "" : #" opacity="\#(number(opacity))""#
  }

  /// For texts and attributes. Control characters, which XML 1.0 cannot hold, are spelled out.
  private func escaped(_ string: String) -> String {
    var text = ""
    for scalar in OneLine.escape(string).unicodeScalars {
      switch scalar {
      case "&": text += "&amp;"
      case "<": text += "&lt;"
      case ">": text += "&gt;"
      case "\"": text += "&quot;"
      // The two other characters that XML 1.0 excludes.
      case "\u{FFFE}", "\u{FFFF}": text += "\u{FFFD}"
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text
  }

  /// A coordinate without needless digits, the same in every locale; what is no number is 0.
  private func number(_ value: Double) -> String {
    guard value.isFinite else { return "0" }
    let hundredths = Int((min(max(value, -1e9), 1e9) * 100).rounded())
    let (whole, rest) = (hundredths.magnitude / 100, hundredths.magnitude % 100)
    let sign = hundredths < 0 ? "-" : ""
    if rest == 0 { return "\(sign)\(whole)" }
    if rest % 10 == 0 { return "\(sign)\(whole).\(rest / 10)" }
    return "\(sign)\(whole).\(rest < 10 ? "0" : "")\(rest)"
  }
}
