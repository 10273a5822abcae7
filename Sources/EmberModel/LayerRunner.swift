package import EmberKernels
import Foundation

/// Runs a model one layer at a time over windows of text, and shows what its matrices are given.
///
/// ```swift
/// runner.embed(table, position: nil, tokens: 512)
/// runner.run(layer, tokens: 512) { input, vectors in … }  // again with the next layer
/// ```
///
/// It computes with the blocks of the forward pass itself, so what it shows is what a session would
/// see with the same weights. The caller brings the weights of one layer, and may take the stream
/// away between layers and put it back: so neither model nor states have to fit into memory.
/// Every window begins at position 0. A runner belongs to one task at a time.
package final class LayerRunner {
  /// What one or several matrices are given, in the order of a layer; the head's comes after all.
  package enum MatrixInput: Sendable, CaseIterable {
    /// norm(stream), [width]: query, key, value.
    case attention
    /// The heads' outputs, [headCount · headDimension]: attention output.
    case attentionOutput
    /// norm(stream), [width]: gate, up; of all experts, too.
    case feedForward
    /// activation(gate) ⊙ up, or activation(up), [feedForwardWidth]: down. Not of a mixture's experts,
    /// of which each sees other tokens.
    case down
    /// norm(stream) behind the last layer, [width]: head.
    case head
  }

  /// The most tokens of a window.
  package let windowLength: Int
  private let architecture: Architecture
  private let kernels: Kernels
  private let team: ThreadTeam
  private let cache: KeyValueCache
  private let scratch: Scratch
  /// A view of nothing, for the places of the weights that a step does not use.
  private let blank: UnsafeMutablePointer<Float>

  /// Phases of a step at most; the team must have room for them.
  package static func phaseCapacity(of architecture: Architecture) -> Int {
    16 + ExpertScratch.phases(architecture.feedForward.experts)
  }

  /// Bytes that a runner takes; `Int.max` where no integer holds their number.
  package static func byteCount(architecture: Architecture, windowLength: Int) -> Int {
    var single = architecture
    single.layerCount = 1
    single.vocabularySize = 1
    let parts = [
      Scratch.byteCount(
        architecture: single, precision: .half, contextLength: windowLength,
        capacity: windowLength),
      KeyValueCache.byteCount(
        architecture: single, precision: .half, positions: windowLength,
        stepLength: windowLength),
    ]
    return parts.reduce(0) { $0.addingReportingOverflow($1).overflow ? .max : $0 + $1 }
  }

  /// - Throws: `ModelError.outOfMemory`
  package init(
    architecture: Architecture, windowLength: Int, team: ThreadTeam, kernels: Kernels
  ) throws(ModelError) {
    let bytes = Scratch.byteCount(
      architecture: architecture, precision: .half, contextLength: windowLength,
      capacity: windowLength)
    if bytes > ProcessInfo.processInfo.physicalMemory {
      throw .outOfMemory(bytes: bytes, purpose: "buffers of a window")
    }
    // The cache of one layer serves all, and no logits are computed.
    var single = architecture
    single.layerCount = 1
    single.vocabularySize = 1
    self.architecture = single
    self.windowLength = windowLength
    self.kernels = kernels
    self.team = team
    cache = try KeyValueCache(architecture: single, capacity: windowLength, precision: .half)
    blank = .aligned(1)
    blank.initialize(to: 0)
    scratch = Scratch(
      architecture: single, weights: Weights(blank: blank), cache: cache,
      contextLength: windowLength, capacity: windowLength)
    for t in 0..<windowLength {
      scratch.rotary?.fill(scratch.turn(t), position: t)
      scratch.localRotary?.fill(scratch.localTurn(t), position: t)
    }
  }

  deinit { blank.deallocate() }

  /// The residual stream, [windowLength][width].
  package var stream: UnsafeMutablePointer<Float> { scratch.stream }

  /// stream[t] = row t of `embedding` (+ row t of `position`)
  ///
  /// - Parameters:
  ///   - embedding: [tokens, width], the rows of the window's tokens, in their order.
  ///   - position: [at least tokens, width], learned positions only.
  package func embed(
    _ embedding: Matrix, norm: Weights.Norm?, position: Matrix?, tokens: Int
  ) {
    precondition(tokens <= min(windowLength, embedding.rows))
    precondition(position.map { $0.rows >= tokens && $0.columns == architecture.width } ?? true)
    let weights = Weights(blank: blank, embedding: embedding, norm: norm, position: position)
    let ids = (0..<Int32(tokens)).map { $0 }
    ids.withUnsafeBufferPointer { ids in
      guard let ids = ids.baseAddress else { return }
      let pass = pass(weights, tokens: ids, count: tokens)
      team.step { worker in pass.embed(&worker) }
    }
  }

  /// Takes the stream of a window through a layer.
  ///
  /// - Parameter observe: called with the vectors that the matrices were given, [tokens][columns],
  ///   in the order of `MatrixInput`; they hold until it returns.
  package func run(
    _ layer: Weights.Layer, tokens: Int,
    observe: (MatrixInput, Activations) throws -> Void
  ) rethrows {
    let pass = pass(Weights(blank: blank), tokens: nil, count: tokens)
    let joinsAtOnce = architecture.residual == .sequential
    team.step { worker in pass.heads(layer, 0, &worker) }
    try observe(.attention, scratch.normed)
    try observe(.attentionOutput, scratch.attended)
    team.step { worker in
      if joinsAtOnce { pass.joinHeads(layer, &worker) }
      pass.feedForward(layer, 0, &worker)
    }
    try observe(.feedForward, scratch.normed)
    if architecture.has(.down) { try observe(.down, scratch.inner) }
    team.step { worker in
      if !joinsAtOnce { pass.joinHeads(layer, &worker) }
      pass.joinFeedForward(layer, &worker)
    }
  }

  /// What the head would be given for the stream of a window, [tokens][width].
  package func normalise(_ norm: Weights.Norm?, tokens: Int) -> Activations {
    let pass = pass(Weights(blank: blank), tokens: nil, count: tokens)
    team.step { worker in pass.normalise(norm, &worker) }
    return scratch.normed
  }

  private func pass(
    _ weights: Weights, tokens: UnsafePointer<Int32>?, count: Int
  ) -> ForwardPass {
    precondition(count <= windowLength)
    scratch.prepare(tokens: count, of: cache, from: 0)
    // Blocks read no token ids; only embedding does.
    let tokens = tokens ?? UnsafeRawPointer(blank).assumingMemoryBound(to: Int32.self)
    return ForwardPass(
      architecture: architecture, weights: weights, kernels: kernels,
      scratch: scratch, tokens: tokens, tokenCount: count)
  }
}

extension Weights {
  /// No layers and no norm, and no tables but those that are given: for steps that read no others.
  fileprivate init(
    blank: UnsafePointer<Float>, embedding: Matrix? = nil, norm: Norm? = nil,
    position: Matrix? = nil
  ) {
    let nothing = Matrix(
      type: .f16, rows: 0, columns: 0, outlierSteps: 0, data: UnsafeRawPointer(blank))
    self.init(
      embedding: embedding ?? nothing, embeddingNorm: norm, position: position, layers: [],
      finalNorm: nil, head: Linear(weight: nothing, bias: nil))
  }
}
