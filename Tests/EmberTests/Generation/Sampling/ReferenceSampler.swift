import EmberGeneration
import EmberKernels
import Foundation

/// The steps of `SamplingOptions` in the most obvious way: sort everything, then cut.
struct ReferenceSampler {
  let options: SamplingOptions
  var generator: SplitMix64

  init(options: SamplingOptions, seed: UInt64) {
    self.options = options
    generator = SplitMix64(seed: seed)
  }

  /// The tokens that are left after all filters, with their probabilities; the most probable first.
  func survivors(_ logits: [Float], history: [Int32]) -> [(id: Int, probability: Double)] {
    var logits = logits
    for id in Set(history.suffix(options.repetitionWindow)) {
      let logit = logits[Int(id)]
      logits[Int(id)] =
        logit > 0 ? logit / options.repetitionPenalty : logit * options.repetitionPenalty
    }
    var order = logits.indices.filter { logits[$0] > -.infinity }
    order.sort { logits[$0] != logits[$1] ? logits[$0] > logits[$1] : $0 < $1 }
    if options.temperature == 0 { return [(order[0], 1)] }
    let largest = Double(logits[order[0]])
    var weights = order.map { exp((Double(logits[$0]) - largest) / Double(options.temperature)) }
    if options.topK > 0, options.topK < order.count {
      order.removeLast(order.count - options.topK)
      weights.removeLast(weights.count - options.topK)
    }
    while let last = weights.last, last < Double(options.minP) * weights[0] {
      weights.removeLast()
      order.removeLast()
    }
    if options.topP < 1 {
      let target = Double(options.topP) * weights.reduce(0, +)
      var sum = 0.0
      let kept = weights.firstIndex {
        sum += $0
        return sum >= target
      }
      let count = (kept ?? weights.count - 1) + 1
      weights.removeLast(weights.count - count)
      order.removeLast(order.count - count)
    }
    let total = weights.reduce(0, +)
    return zip(order, weights).map { ($0, $1 / total) }
  }

  mutating func next(_ logits: [Float], history: [Int32]) -> Int32 {
    let survivors = survivors(logits, history: history)
    if options.temperature == 0 { return Int32(survivors[0].id) }
    let unit = generator.nextUnit()
    var sum = 0.0
    for survivor in survivors.sorted(by: { $0.id < $1.id }) {
      sum += survivor.probability
      if sum > unit { return Int32(survivor.id) }
    }
    return -1
  }
}

/// The same steps on the weights that `Sampler` defines: e^x as the scalar kernels give it, counted
/// in units of 2⁻³⁶, so that every sum is exact and every choice must be the same.
struct ExactReferenceSampler {
  let options: SamplingOptions
  var generator: SplitMix64

  init(options: SamplingOptions, seed: UInt64) {
    self.options = options
    generator = SplitMix64(seed: seed)
  }

  /// nil where nothing can be drawn. No penalty: give an option without one.
  mutating func next(_ logits: [Float]) -> Int32? {
    guard let largest = logits.max(), largest > -.infinity else { return nil }
    let scale = min(1 / options.temperature, .greatestFiniteMagnitude)
    var exponentials = logits.map { ($0 - largest) * scale }
    _ = Kernels.scalar.table.exponentials?(&exponentials, 0, exponentials.count)
    var order = Array(logits.indices)
    order.sort { logits[$0] != logits[$1] ? logits[$0] > logits[$1] : $0 < $1 }
    if options.topK > 0 { order = Array(order.prefix(options.topK)) }
    order.removeAll { exponentials[$0] < options.minP }
    let units = exponentials.map { UInt64((Double($0) * 0x1p36).rounded(.toNearestOrEven)) }
    func total() -> UInt64 { order.reduce(0) { $0 + units[$1] } }
    if options.topP < 1 {
      let target = max(1, UInt64((Double(options.topP) * Double(total())).rounded(.up)))
      var sum: UInt64 = 0
      order = Array(
        order.prefix { index in
          defer { sum += units[index] }
          return sum < target
        })
    }
    let target = generator.next().multipliedFullWidth(by: total()).high
    var sum: UInt64 = 0
    for index in order.sorted() {
      sum += units[index]
      if sum > target { return Int32(index) }
    }
    return nil
  }
}

/// Logits as models make them, more or less: most near each other, some far above.
func randomLogits(_ count: Int, _ generator: inout SplitMix64, spread: Double = 4) -> [Float] {
  (0..<count).map { _ in
    let u = generator.nextUnit() + generator.nextUnit() + generator.nextUnit() - 1.5
    return Float(u * spread)
  }
}

extension Sampler {
  /// Samples from a copy.
  mutating func next(_ logits: [Float], history: [Int32] = []) throws -> Int32 {
    var copy = logits
    return try copy.withUnsafeMutableBufferPointer { buffer in
      try next(buffer, history: history)
    }
  }
}
