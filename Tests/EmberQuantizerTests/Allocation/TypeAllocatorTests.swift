import EmberQuantizer
import Testing

/// Allocation on made-up tables.
struct TypeAllocatorTests {
  typealias Choice = TypeAllocator.Choice

  /// Tables of 5 tensors with 3 choices, larger ones losing less.
  static func table(seed: UInt64, scale: Int = 1) -> [[Choice]] {
    var random = RandomFloats(seed: seed)
    func next(_ range: Int) -> Int { 1 + Int((random.next() + 1) / 2 * Float(range - 1)) }
    return (0..<5).map { _ in
      var bytes = next(40) * scale
      var divergence = Double(next(1000)) / 1000
      return (0..<3).map { _ in
        let choice = Choice(byteCount: bytes, divergence: divergence)
        bytes += next(30) * scale
        divergence *= Double(next(9)) / 10
        return choice
      }
    }
  }

  /// The smallest divergence of any mix of at most `limit` bytes.
  static func bruteForce(_ tensors: [[Choice]], limit: Int) -> Double? {
    var sums = [(bytes: 0, divergence: 0.0)]
    for choices in tensors {
      sums = sums.flatMap { sum in
        choices.map { (sum.bytes + $0.byteCount, sum.divergence + $0.divergence) }
      }
    }
    return sums.filter { $0.bytes <= limit }.map(\.divergence).min()
  }

  @Test("is optimal where every byte has its own interval", arguments: 1...40)
  func optimal(seed: UInt64) throws {
    let tensors = Self.table(seed: seed)
    let allocator = TypeAllocator(tensors: tensors)
    for limit in stride(from: 0, through: 500, by: 23) {
      let best = allocator.mixes(limit: limit).first
      let expected = Self.bruteForce(tensors, limit: limit)
      #expect((best == nil) == (expected == nil))
      guard let best, let expected else { continue }
      #expect(abs(best.divergence - expected) < 1e-12)
      #expect(best.byteCount <= limit)
      let chosen = zip(tensors, best.choices).map { $0[$1] }
      #expect(chosen.reduce(0) { $0 + $1.byteCount } == best.byteCount)
      #expect(abs(chosen.reduce(0) { $0 + $1.divergence } - best.divergence) < 1e-12)
    }
  }

  @Test("is close to optimal where intervals are wide", arguments: 1...40)
  func wide(seed: UInt64) throws {
    let tensors = Self.table(seed: seed, scale: 100_003)
    let limit = 20_000_000
    let allocator = TypeAllocator(tensors: tensors, resolution: 400)
    let best = try #require(allocator.mixes(limit: limit).first)
    // What fits into two intervals a tensor less cannot be better.
    let bound = try #require(Self.bruteForce(tensors, limit: limit - limit / 40))
    #expect(best.byteCount <= limit)
    #expect(best.divergence <= bound + 1e-12)
  }

  @Test("spends bytes where they gain most")
  func spends() throws {
    let choices = { (loss: Double) in
      [Choice(byteCount: 10, divergence: loss), Choice(byteCount: 20, divergence: loss / 4)]
    }
    let allocator = TypeAllocator(tensors: [choices(1), choices(8), choices(2)])
    #expect(try #require(allocator.mixes(limit: 49).first).choices == [0, 1, 0])
    #expect(try #require(allocator.mixes(limit: 50).first).choices == [0, 1, 1])
    #expect(try #require(allocator.mixes(limit: 1000).first).choices == [1, 1, 1])
  }

  @Test("offers nothing where not even the smallest fits")
  func nothing() {
    let tensors = [[Choice(byteCount: 10, divergence: 1)], [Choice(byteCount: 5, divergence: 1)]]
    #expect(TypeAllocator(tensors: tensors).mixes(limit: 14).isEmpty)
    #expect(TypeAllocator(tensors: tensors).mixes(limit: 15).map(\.choices) == [[0, 0]])
  }
}
