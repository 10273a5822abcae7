import EmberKernels
import Foundation

/// The output distributions of the unchanged model over the tokens of a probe.
final class ReferenceDistributions: @unchecked Sendable {
  // Sendable because workers write the places of their own tokens only.

  let vocabularySize: Int
  /// [tokens][vocabularySize]
  let probabilities: UnsafeMutablePointer<Float>
  /// Σ p log p, [tokens]; NaN where a logit was not finite.
  let negativeEntropies: UnsafeMutablePointer<Double>
  /// KL(reference ‖ model) in nats, [tokens], of the model that was run last.
  let divergences: UnsafeMutablePointer<Double>

  init(tokens: Int, vocabularySize: Int) {
    self.vocabularySize = vocabularySize
    probabilities = .allocate(capacity: tokens * vocabularySize)
    probabilities.initialize(repeating: 0, count: tokens * vocabularySize)
    negativeEntropies = .allocate(capacity: tokens)
    negativeEntropies.initialize(repeating: 0, count: tokens)
    divergences = .allocate(capacity: tokens)
    divergences.initialize(repeating: 0, count: tokens)
  }

  deinit {
    probabilities.deallocate()
    negativeEntropies.deallocate()
    divergences.deallocate()
  }

  /// Keeps the softmax of one row of logits.
  func keep(_ logits: UnsafePointer<Float>, token: Int) {
    let (maximum, sum) = measure(logits)
    let row = probabilities + token * vocabularySize
    let logSum = log(sum)
    var negativeEntropy = 0.0
    for i in 0..<vocabularySize {
      let centred = Double(logits[i] - maximum)
      row[i] = Float(exp(centred) / sum)
      negativeEntropy += Double(row[i]) * (centred - logSum)
    }
    negativeEntropies[token] = negativeEntropy
  }

  /// Σ p (log p − log q): both sums run over the rounded p, so that equal logits give 0.
  func compare(_ logits: UnsafePointer<Float>, token: Int) {
    let (maximum, sum) = measure(logits)
    let row = probabilities + token * vocabularySize
    let logSum = log(sum)
    var crossEntropy = 0.0
    for i in 0..<vocabularySize {
      crossEntropy += Double(row[i]) * (Double(logits[i] - maximum) - logSum)
    }
    divergences[token] = max(0, negativeEntropies[token] - crossEntropy)
    if !crossEntropy.isFinite { divergences[token] = .nan }
  }

  private func measure(_ logits: UnsafePointer<Float>) -> (maximum: Float, sum: Double) {
    var maximum = -Float.infinity
    for i in 0..<vocabularySize { maximum = max(maximum, logits[i]) }
    var sum = 0.0
    for i in 0..<vocabularySize { sum += exp(Double(logits[i] - maximum)) }
    return (maximum, sum)
  }
}

/// The head's product for a window, and what its distributions are to the reference.
struct DivergenceWork: TeamWork, @unchecked Sendable {
  // Sendable because the pieces of a phase write disjoint places.

  enum Purpose { case keepingReference, comparing }

  let purpose: Purpose
  let head: Matrix
  /// [vocabularySize]
  let bias: UnsafePointer<Float>?
  /// As the architecture says; see `Architecture.headScale` and `.logitSoftCap`.
  let scale: Float?
  let softCap: Float?
  /// norm(stream), [tokens][width]
  let inputs: Activations
  /// [tokens][vocabularySize]
  let logits: UnsafeMutablePointer<Float>
  let reference: ReferenceDistributions
  /// The window's first token among those of the reference.
  let first: Int
  let kernels: Kernels

  func run(_ worker: inout ThreadTeam.Worker) {
    worker.phase(dividing: head.rowGroups, unit: Matrix.groupsAtOnce) { groups in
      head.multiply(
        inputs, groups: groups, output: logits, stride: reference.vocabularySize, kernels: kernels)
    }
    worker.phase(pieces: inputs.tokens) { token in
      let row = logits + token * reference.vocabularySize
      finish(row)
      switch purpose {
      case .keepingReference: reference.keep(row, token: first + token)
      case .comparing: reference.compare(row, token: first + token)
      }
    }
  }

  /// What the architecture does to the products of the head.
  private func finish(_ row: UnsafeMutablePointer<Float>) {
    let count = reference.vocabularySize
    if let scale {
      for i in 0..<count { row[i] *= scale }
    }
    if let bias { kernels.table.add_elements(row, bias, count) }
    if let softCap { kernels.table.soft_cap(row, softCap, count) }
  }
}
