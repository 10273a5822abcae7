import EmberGeneration
import Foundation
import Testing

struct MirostatTests {
  /// Algorithm 2 of the paper with truncation by surprise, in double precision and the obvious way.
  private struct Reference {
    let target: Double
    let rate: Double
    var limit: Double
    var generator: SplitMix64

    mutating func next(_ logits: [Float], temperature: Double) -> Int32 {
      let largest = Double(logits.max() ?? 0)
      let weights = logits.map { exp((Double($0) - largest) / temperature) }
      let total = weights.reduce(0, +)
      let top = weights.firstIndex(of: 1) ?? 0
      let kept = weights.indices.filter { $0 == top || -log2(weights[$0] / total) <= limit }
      let sum = kept.reduce(0) { $0 + weights[$1] }
      let unit = generator.nextUnit()
      var passed = 0.0
      for id in kept {
        passed += weights[id] / sum
        if passed > unit {
          limit -= rate * (-log2(weights[id] / sum) - target)
          return Int32(id)
        }
      }
      return -1
    }
  }

  @Test("tokens are those of the definition", arguments: [1.5, 3, 6])
  func definition(target: Double) throws {
    var options = SamplingOptions.plain
    options.temperature = 1.2
    options.mirostat = .init(targetSurprise: target, learningRate: 0.2)
    // Not used with it.
    options.topK = 1
    options.typicalP = 0.1
    var sampler = Sampler(options: options, seed: 3)
    var reference = Reference(
      target: target, rate: 0.2, limit: 2 * target, generator: SplitMix64(seed: 3))
    var noise = SplitMix64(seed: 8)
    for round in 0..<300 {
      let logits = randomLogits(400, &noise, spread: 6)
      #expect(
        try sampler.next(logits) == reference.next(logits, temperature: Double(Float(1.2))),
        "round \(round)")
    }
  }

  @Test("the mean surprise of a text comes to the target")
  func target() throws {
    var noise = SplitMix64(seed: 8)
    let logits = randomLogits(2000, &noise, spread: 6)
    for target in [2.0, 5] {
      var options = SamplingOptions.plain
      options.mirostat = .init(targetSurprise: target)
      var sampler = Sampler(options: options, seed: 1)
      var surprise = 0.0
      for _ in 0..<2000 {
        var copy = logits
        let left = try copy.withUnsafeMutableBufferPointer {
          try sampler.distribution($0, history: [])
        }
        let id = try sampler.next(logits)
        let chosen = try #require(left.first { $0.id == id })
        surprise -= log2(chosen.probability) / 2000
      }
      #expect(abs(surprise - target) < 0.1, "\(surprise)")
    }
  }
}
