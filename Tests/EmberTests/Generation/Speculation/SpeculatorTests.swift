import EmberGeneration
import Testing

/// How much is guessed, with passes that take what the test says.
@Suite("Length of drafts")
struct SpeculatorTests {
  /// Seconds of a pass by its tokens.
  typealias Cost = @Sendable (Int) -> Double
  /// From a disk, or with arithmetic for nothing.
  static let flat: Cost = { _ in 1 }
  /// As q4 in memory on two cores.
  static let memory: Cost = { $0 == 1 ? 1 : 1 + 0.36 * Double($0) }
  /// Nothing is gained by computing tokens together.
  static let steep: Cost = { Double($0) }

  /// Time passes when the test says so.
  final class Clock { var seconds = 0.0 }

  struct Run {
    var seconds: Double
    var lengths: [Int]
    var statistics: Speculation.Statistics
  }

  /// Goes through a text as decoding would that must come to it, from `start` on.
  static func run(
    _ text: [Int32], from start: Int, cost: (Int) -> Cost, maximum: Int = 64, chunk: Int = 128
  ) -> Run {
    let clock = Clock()
    var speculation = Speculation(maximumDraft: maximum)
    speculation.now = { clock.seconds }
    let speculator = Speculator(
      speculation, history: Array(text[..<start]), options: .greedy, capacity: text.count,
      chunkLength: chunk)
    let sampler = Sampler(options: .greedy, seed: 1)
    var count = start
    var lengths: [Int] = []
    while count < text.count {
      var pass = [text[count - 1]]
      speculator.propose(
        into: &pass, history: Array(text[..<count]), sampler: sampler,
        limit: text.count - count - 1)
      clock.seconds += cost(count)(pass.count)
      var accepted = 0
      while accepted + 1 < pass.count, pass[accepted + 1] == text[count + accepted] {
        accepted += 1
      }
      speculator.record(Array(text[count...count + accepted]), accepted: accepted)
      lengths.append(pass.count - 1)
      count += accepted + 1
    }
    return Run(seconds: clock.seconds, lengths: lengths, statistics: speculator.statistics)
  }

  static func noise(_ count: Int, symbols: UInt64, seed: UInt64 = 1) -> [Int32] {
    var noise = SplitMix64(seed: seed)
    return (0..<count).map { _ in Int32(noise.next() % symbols) }
  }

  static var repeating: [Int32] {
    let passage = noise(50, symbols: 30_000)
    return (0..<12).flatMap { _ in passage }
  }

  @Test("a text that repeats itself: long drafts where a pass costs the same whatever its tokens")
  func repeatingFlat() {
    let run = Self.run(Self.repeating, from: 60, cost: { _ in Self.flat })
    #expect(run.lengths.max() == 64)
    #expect(run.seconds < 540 / 15)
    #expect(run.statistics.acceptedTokens == run.statistics.draftedTokens)
    #expect(run.statistics.passes == run.lengths.count)
  }

  @Test("and where weights come from memory still twice as fast")
  func repeatingMemory() {
    let run = Self.run(Self.repeating, from: 60, cost: { _ in Self.memory })
    #expect(run.seconds < 540 / 2)
  }

  @Test("where it cannot pay, next to nothing is lost", arguments: [60, 3, 2] as [UInt64])
  func steep(symbols: UInt64) {
    for text in [Self.repeating, Self.noise(2000, symbols: symbols)] {
      let run = Self.run(text, from: 60, cost: { _ in Self.steep })
      #expect(run.seconds < Double(text.count - 60) * 1.02 + 4)
    }
  }

  @Test("a text without repetitions costs next to nothing", arguments: [3, 20, 100] as [UInt64])
  func noRepetition(symbols: UInt64) {
    let text = Self.noise(3000, symbols: symbols)
    let run = Self.run(text, from: 600, cost: { _ in Self.memory })
    #expect(run.seconds < 2400 * 1.02)
    // But where the guess is for nothing, even a small chance is taken.
    let disk = Self.run(text, from: 600, cost: { _ in Self.flat })
    #expect(disk.seconds <= 2400)
    if symbols == 3 { #expect(disk.seconds < 2000) }
  }

  @Test("the text changes its nature: the lengths follow within a few passes")
  func changing() {
    let unique = Self.noise(800, symbols: 1_000_000, seed: 3)
    var text = unique
    text += unique[100..<400]
    text += Self.noise(300, symbols: 1_000_000, seed: 4)
    let run = Self.run(text, from: 800, cost: { _ in Self.memory })
    // 300 copied, 300 not.
    let bound: Double = 300 / 2 + 300 * 1.03
    #expect(run.seconds < bound)
  }

  @Test("the costs change: drafts stop, and come back")
  func changingCosts() {
    let passage = Self.noise(50, symbols: 30_000)
    var text: [Int32] = []
    for _ in 0..<60 { text += passage }
    let cost: (Int) -> Cost = { count in
      let isSteep = count >= 1000 && count < 2000
      return isSteep ? Self.steep : Self.flat
    }
    let run = Self.run(text, from: 60, cost: cost)
    let bound: Double = 940 / 10 + 1000 * 1.15 + 1000 / 2
    #expect(run.seconds < bound)
  }

  @Test("neither the maximum nor the chunk is exceeded; none are none")
  func bounds() {
    for (maximum, chunk) in [(64, 8), (7, 128), (0, 128), (-3, 128), (64, 1)] {
      let run = Self.run(
        Self.repeating, from: 60, cost: { _ in Self.flat }, maximum: maximum, chunk: chunk)
      #expect(run.lengths.max() == max(0, min(maximum, chunk - 1)))
    }
  }

  @Test("a clock that stands still or runs backwards does no harm")
  func strangeClocks() {
    for seconds in [0, -1, Double.nan, .infinity] {
      let run = Self.run(Self.repeating, from: 60, cost: { _ in { _ in seconds } })
      #expect(run.statistics.acceptedTokens <= run.statistics.draftedTokens)
    }
  }

  @Test("the length is the one of the most tokens per second")
  func length() throws {
    var cost = PassCost()
    #expect(cost.expectation == nil)
    for _ in 0..<3 { cost.record(tokens: 1, seconds: 1) }
    // One that was held up does not count.
    cost.record(tokens: 1, seconds: 50)
    for n in 0..<200 { cost.record(tokens: 2 + n % 20, seconds: Self.memory(2 + n % 20)) }
    let expectation = try #require(cost.expectation)
    #expect(expectation.seconds(tokens: 1) == 1)
    for tokens in [2, 5, 10, 20] {
      #expect(abs(expectation.seconds(tokens: tokens) / Self.memory(tokens) - 1) < 0.1)
    }
    for p in [0.1, 0.5, 0.8, 0.95, 1] {
      var best = (count: 0, rate: 1 * 1.03)
      for k in 1...30 {
        var (expected, reached) = (1.0, 1.0)
        for _ in 0..<k {
          reached *= p
          expected += reached
        }
        let rate = expected / expectation.seconds(tokens: k + 1)
        if rate > best.rate { best = (k, rate) }
      }
      let length = DraftLength(limit: 30, cost: expectation) { _ in p }
      #expect(length.count == best.count, "\(p)")
    }
    // Drafts that take long are short.
    let slow = DraftLength(limit: 30, cost: expectation, secondsPerToken: 1) { _ in 0.95 }
    #expect(slow.count == 0)
  }
}
