import EmberGeneration
import Testing

struct StopStringTests {
  /// Feeds pieces; the text that was shown and whether it stopped.
  private static func run(_ stops: [String], _ pieces: [String]) -> (text: String, stops: Bool) {
    var matcher = StopStringMatcher(stops)
    var shown = ""
    for piece in pieces {
      let (text, isDone) = matcher.append(piece)
      shown += text
      if isDone { return (shown, true) }
    }
    return (shown + matcher.finish(), false)
  }

  @Test("the first stop string to be complete ends the text, whatever the pieces")
  func naiveSearch() {
    var generator = SplitMix64(seed: 3)
    func random(_ count: Int) -> String {
      String((0..<count).map { _ in ["a", "b", "é", "€"][Int(generator.next() % 4)] }.joined())
    }
    for _ in 0..<3000 {
      let text = Array(random(Int(generator.next() % 24)))
      let stops = (0...Int(generator.next() % 3)).map { _ in random(1 + Int(generator.next() % 4)) }
      var expected = (text: String(text), stops: false)
      search: for end in 0...text.count {
        let found = stops.filter { String(text[..<end]).hasSuffix($0) }
        guard let longest = found.map(\.count).max() else { continue }
        expected = (String(text[..<(end - longest)]), true)
        break search
      }
      var pieces: [String] = []
      var rest = text[...]
      while !rest.isEmpty {
        let count = min(rest.count, Int(generator.next() % 4))
        pieces.append(String(rest.prefix(count)))
        rest = rest.dropFirst(count)
      }
      let found = Self.run(stops, pieces)
      #expect(found == expected, "\(stops) in \(pieces)")
    }
  }

  @Test("overlapping beginnings, and letters that only look the same")
  func overlaps() {
    #expect(Self.run(["aab"], ["a", "a", "a", "b", "c"]) == ("a", true))
    #expect(Self.run(["abab"], ["ab", "aab", "ab", "x"]) == ("aba", true))
    #expect(Self.run([], ["x", "y"]) == ("xy", false))
    #expect(Self.run([""], ["x"]) == ("x", false))
    // Bytes are compared: a composed é is not e with an accent behind it.
    #expect(Self.run(["\u{E9}"], ["e\u{301}"]) == ("e\u{301}", false))
    // A piece that ends inside a grapheme cluster.
    #expect(Self.run(["\u{301}!"], ["e", "\u{301}", "!"]) == ("e", true))
  }

  @Test("long and repetitive stop strings take no quadratic time")
  func hostile() {
    let long = String(repeating: "a", count: 100_000)
    let found = Self.run([long + "b"], Array(repeating: "aaaaaaaaaa", count: 20))
    #expect(found == (String(repeating: "a", count: 200), false))
    #expect(Self.run([long + "b"], [long, long, "c"]).stops == false)
    #expect(Self.run([long + "b"], [long, long, "b"]).text == long)
  }
}
