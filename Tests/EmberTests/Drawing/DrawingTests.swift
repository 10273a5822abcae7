import EmberEvaluation
import Foundation
import Testing

struct DrawingTests {
  @Test("any text makes well-formed XML and comes back")
  func texts() throws {
    for text in ["a < b & c > \"d\" 'e'", "]]>", "<script>alert(1)</script>", "ä – 模型 🔥", ""] {
      var picture = SVGDocument(width: 10, height: 10, title: text, description: text)
      picture.text(text, at: .init(x: 1, y: 2))
      picture.upwardText(text, at: .init(x: 1, y: 2))
      let elements = try SVGElements(picture.rendered())
      #expect(elements.named("text").map(\.text) == [text, text])
      #expect(elements.named("title").map(\.text) == [text])
    }
    // XML cannot hold these at all.
    var picture = SVGDocument(width: 10, height: 10, title: "t")
    picture.text("a\u{1B}[2J\u{0}b\n\u{FFFE}\u{FFFF}", at: .init(x: 0, y: 0))
    let text = try SVGElements(picture.rendered()).named("text")[0].text
    #expect(text == "a\\u{1B}[2J\\0b\\n\u{FFFD}\u{FFFD}")
  }

  @Test("numbers are short, and always numbers")
  func numbers() throws {
    var picture = SVGDocument(width: 100, height: 50.5, title: "t")
    for x in [0, -0.004, 1.5, -2.25, 1 / 3.0, 1e300, -.infinity, .nan, 0.1 + 0.2] {
      picture.circle(at: .init(x: x, y: 0), radius: 1)
    }
    let elements = try SVGElements(picture.rendered())
    #expect(
      elements.named("circle").map { $0.attributes["cx"] } == [
        "0", "0", "1.5", "-2.25", "0.33", "1000000000", "0", "0", "0.3",
      ])
    #expect(elements.all[0].attributes["viewBox"] == "0 0 100 50.5")
  }

  @Test("ticks are round, inside, and not too many")
  func ticks() {
    for range in [0...6.9, -0.03...0.6, 2.01e6...2.02e6, 0...1e-7, -88...3, 0...1e12, 5...5.0001] {
      for count in [2, 5, 9] {
        let axis = Axis(range, pixels: (0, 100), ticks: count)
        let ticks = axis.ticks
        #expect(ticks.count >= 1 && ticks.count <= count + 1, "\(range) \(count): \(ticks)")
        #expect(ticks.allSatisfy { $0 > range.lowerBound - axis.step / 1e6 })
        #expect(ticks.allSatisfy { $0 < range.upperBound + axis.step / 1e6 })
        let digit = axis.step / pow(10, (log10(axis.step) + 1e-9).rounded(.down))
        #expect([1, 2, 5].contains { abs($0 - digit) < 1e-6 }, "\(axis.step)")
      }
    }
    let axis = Axis(-0.12...0.6, pixels: (100, 0), ticks: 5)
    #expect(axis.ticks.map(axis.text) == ["0.0", "0.2", "0.4", "0.6"])
    #expect(abs(axis.position(0.6)) < 1e-9 && abs(axis.position(-0.12) - 100) < 1e-9)
    // An empty range draws something all the same.
    #expect(Axis(3...3, pixels: (0, 1), ticks: 5).ticks.count > 1)
  }

  @Test("labels cover neither each other nor a point, or there is none")
  func labels() {
    // Sixteen points in a heap.
    let points = (0..<16).map {
      SVGDocument.Point(x: 300 + Double($0 % 4) * 7, y: 200 + Double($0 / 4) * 9)
    }
    let labels = points.map { LabelPlacement.Label(anchor: $0, width: 120, height: 28) }
    let spots = points.map {
      LabelPlacement.Box(x: $0.x - 6, y: $0.y - 6, width: 12, height: 12)
    }
    let area = LabelPlacement.Box(x: 0, y: 0, width: 700, height: 500)
    let boxes = LabelPlacement.place(labels, clearOf: spots, avoiding: [], in: area)
      .compactMap(\.self)
    #expect(boxes.count == 16)
    for (index, box) in boxes.enumerated() {
      #expect(!boxes[..<index].contains(where: box.intersects))
      #expect(!spots.contains(where: box.intersects))
      #expect(box.x >= 0 && box.y >= 0 && box.x + 120 <= 700 && box.y + 28 <= 500)
    }
    let small = LabelPlacement.Box(x: 280, y: 180, width: 200, height: 60)
    let few = LabelPlacement.place(labels, clearOf: spots, avoiding: [], in: small)
    #expect(few.count == 16 && few.contains { $0 == nil })
  }
}
