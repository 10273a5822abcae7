import EmberEvaluation
import Foundation
import Testing

struct ComparisonPictureTests {
  private static func points(_ values: [(String, Int, Double, Double)]) -> [LossPoint] {
    values.map { LossPoint(name: $0.0, bytes: $0.1, changePercent: $0.2, errorPercent: $0.3) }
  }

  private static let typical = points([
    ("model.f16", 6_905_632, 0, 0), ("model.q8", 3_727_136, 0.01, 0.02),
    ("model.q4", 2_547_488, 0.55, 0.14), ("bad.q8", 3_200_000, 2.03, 0.19),
  ])

  private func elements(_ points: [LossPoint]) throws -> SVGElements {
    try SVGElements(ComparisonPicture(points, title: "A text", subtitle: ["a", "b"]).svg())
  }

  /// The discs of the points, in their order.
  private func discs(_ elements: SVGElements) -> [SVGElements.Element] {
    elements.named("circle").filter { $0.attributes["fill"] != "none" }
  }

  /// The value at a pixel, by the two outer ticks whose labels stand where `isTick` says.
  private func scale(
    _ elements: SVGElements, _ key: String, _ isTick: (SVGElements.Element) -> Bool
  ) throws -> (Double) -> Double {
    let ticks: [(pixel: Double, value: Double)] = elements.named("text").filter(isTick)
      .compactMap { element in
        guard let pixel = element.number(key),
          let value = Double(element.text.replacing("−", with: "-"))
        else { return nil }
        return (pixel, value)
      }
    let first = try #require(ticks.first)
    let last = try #require(ticks.last)
    try #require(ticks.count >= 2)
    return { pixel in
      first.value + (pixel - first.pixel) / (last.pixel - first.pixel) * (last.value - first.value)
    }
  }

  private func scales(
    _ elements: SVGElements
  ) throws -> (megabytes: (Double) -> Double, percent: (Double) -> Double) {
    let unit = try #require(elements.named("text").first { $0.text.hasPrefix("file size") })
    let row = try #require(unit.number("y")) - 18
    return (
      try scale(elements, "x") {
        $0.attributes["text-anchor"] == "middle" && $0.number("y") == row
      },
      // Their base lines are 4 below the ticks.
      { [percent = try scale(elements, "y") { $0.attributes["text-anchor"] == "end" }] in
        percent($0 + 4)
      }
    )
  }

  @Test("points, bars and front are where the data is")
  func places() throws {
    let elements = try elements(Self.typical)
    let (megabytes, percent) = try scales(elements)
    let discs = discs(elements)
    try #require(discs.count == 4)
    let lines = elements.named("polyline").map(\.points)
    for (disc, point) in zip(discs, Self.typical) {
      let (x, y) = (try #require(disc.number("cx")), try #require(disc.number("cy")))
      #expect(abs(megabytes(x) - Double(point.bytes) / 1e6) < 0.01, "\(point.name)")
      #expect(abs(percent(y) - point.changePercent) < 0.01, "\(point.name)")
      #expect(disc.attributes["opacity"] == (point.name == "bad.q8" ? "0.6" : nil))
      guard point.errorPercent > 0 else { continue }
      let isBar = lines.contains { line in
        line.count == 2 && line.allSatisfy { $0.x == x }
          && abs(percent(line[0].y) - point.changePercent - point.errorPercent) < 0.01
          && abs(percent(line[1].y) - point.changePercent + point.errorPercent) < 0.01
      }
      #expect(isBar, "\(point.name) has no bar")
    }
    let front = try #require(lines.first { $0.count == 3 })
    #expect(front.map(\.x) == [2, 1, 0].map { discs[$0].number("cx") })
    #expect(front.map(\.y) == [2, 1, 0].map { discs[$0].number("cy") })
    // The ring is around the one to take.
    let ring = try #require(elements.named("circle").first { $0.attributes["fill"] == "none" })
    #expect(ring.number("cx") == discs[2].number("cx"))
    let texts = elements.named("text").map(\.text)
    for text in ["A text", "a", "b", "file size, MB", "perplexity, % from model.f16"]
      + Self.typical.map(\.name) + ["+0.55 ± 0.14 %"]
    {
      #expect(texts.contains(text), "\(text)")
    }
    #expect(elements.named("desc")[0].text == Recommendation(Self.typical).sentence)
  }

  @Test("a file that loses a hundred times as much does not press the others flat")
  func cut() throws {
    let points = Self.typical + Self.points([("none.q4", 2_531_104, 78.27, 2.41)])
    let elements = try elements(points)
    let (_, percent) = try scales(elements)
    let discs = discs(elements)
    #expect(abs(percent(discs[2].number("cy") ?? 0) - 0.55) < 0.02)
    let highest = discs.map { $0.number("cy") ?? 0 }.min()
    #expect(discs[4].number("cy") == highest)
    #expect(elements.named("text").contains { $0.text == "+78.27 ± 2.41 %" })
  }

  @Test("any files make a picture, the same one each time")
  func anything() throws {
    let many = (0..<24).map { index in
      ("file with a rather long name number \(index) of many.q4", 2_000_000 + 997 * index, 0.5, 0.1)
    }
    for points in [
      Self.points([("alone", 100, 0, 0)]), Self.points([("a", 0, 0, 0), ("b", 0, 0, 0)]),
      Self.points([("a", 5, 0, 0), ("b", 5, 0, 0), ("c", 5, 1e12, 1e9)]),
      Self.points([("<&\">\u{1B}\n", 3_000_000_000, 0, 0), ("b", .max, -99.9, 0)]),
      Self.points(many), Self.typical.reversed(),
    ] {
      let picture = ComparisonPicture(points, title: "<t>", subtitle: [])
      let elements = try SVGElements(picture.svg())
      #expect(discs(elements).count == points.count)
      #expect(picture.svg() == picture.svg())
      // Every point has its label: bold or not, in 12 pixels.
      let texts = elements.named("text").filter { $0.attributes["font-size"] == "12" }
      #expect(texts.count >= points.count)
      for point in points where point.name.count <= 36 && !point.name.contains("\u{1B}") {
        #expect(texts.contains { $0.text == point.name }, "\(point.name)")
      }
    }
  }
}
