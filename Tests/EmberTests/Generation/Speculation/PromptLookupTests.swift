import EmberGeneration
import Testing

@Suite("Prompt look-up")
struct PromptLookupTests {
  private static func guess(_ tokens: [Int32], _ count: Int, capacity: Int = 100) -> [Int32] {
    var lookup = PromptLookup(capacity: capacity)
    for token in tokens { lookup.append(token) }
    var ids: [Int32] = []
    lookup.guess(count, into: &ids)
    return ids
  }

  @Test("guesses what followed, and nothing where nothing is the same")
  func followed() {
    #expect(Self.guess([5, 6, 7, 8, 9, 5, 6], 3) == [7, 8, 9])
    #expect(Self.guess([], 3) == [])
    #expect(Self.guess([5], 3) == [])
    #expect(Self.guess([5, 6, 7, 8], 3) == [])
    // One token is too little.
    #expect(Self.guess([5, 6, 7, 5], 3) == [])
    #expect(Self.guess([5, 6, 7, 8, 9, 5, 6], 0) == [])
  }

  @Test("the longer run counts, among runs of one length the later")
  func longest() {
    #expect(Self.guess([1, 2, 3, 50, 9, 2, 3, 60, 1, 2, 3], 1) == [50])
    #expect(Self.guess([9, 2, 3, 50, 8, 2, 3, 60, 1, 2, 3], 1) == [60])
  }

  @Test("a text that repeats itself is guessed beyond its end")
  func repeating() {
    #expect(Self.guess([1, 2, 3, 1, 2, 3], 7) == [1, 2, 3, 1, 2, 3, 1])
    #expect(Self.guess([4, 4, 4], 5) == [4, 4, 4, 4, 4])
  }

  @Test("a run that is followed goes on while other places say otherwise")
  func following() {
    // 30 tokens, then their second half copied after a pair that occurred elsewhere later.
    let passage = (100..<130).map { Int32($0) }
    var lookup = PromptLookup(capacity: 100)
    for token in passage + [7, 8] + passage.prefix(20) { lookup.append(token) }
    #expect(lookup.match == PromptLookup.Match(source: 20, length: 20))
    #expect(lookup.next == 120)
    lookup.append(120)
    #expect(lookup.match == PromptLookup.Match(source: 21, length: 21))
    lookup.append(1)
    #expect(lookup.match == nil)
  }

  @Test("what it says of the text is true, whatever the text and the table")
  func valid() {
    var noise = SplitMix64(seed: 8)
    for symbols in [2, 5, 40, 1000] as [UInt64] {
      for capacity in [0, 10, 5000] {
        var lookup = PromptLookup(capacity: capacity)
        var tokens: [Int32] = []
        var found = 0
        for _ in 0..<5000 {
          let token = Int32(noise.next() % symbols) - 1
          tokens.append(token)
          lookup.append(token)
          guard let match = lookup.match else { continue }
          found += 1
          #expect(match.source > 0 && match.source < tokens.count && match.length >= 2)
          let place = tokens[..<match.source].suffix(match.length)
          if !place.elementsEqual(tokens.suffix(match.length)) {
            Issue.record("\(match) is not the end of the text of \(tokens.count)")
            return
          }
        }
        #expect(found > 0)
        if symbols == 2 { #expect(found > 4900) }
      }
    }
  }

  @Test("the index forgets, at most, in a text much longer than its table")
  func bounded() {
    var noise = SplitMix64(seed: 9)
    var lookup = PromptLookup(capacity: 0)
    let passage = (0..<64).map { _ in Int32(noise.next() % 30_000) }
    for _ in 0..<100_000 { lookup.append(Int32(noise.next() % 30_000)) }
    for token in passage + [1, 2, 3] + passage.prefix(32) { lookup.append(token) }
    var ids: [Int32] = []
    lookup.guess(32, into: &ids)
    #expect(ids == Array(passage.suffix(32)))
  }
}
