import EmberKernels

/// From token ids to logits: the whole model, as every worker of a step runs it.
///
/// Shapes: T tokens of one step, of one sequence or several, W the width of the stream, H query heads and K key/value heads of
/// dimension D, F the feed-forward width, V the vocabulary. Every phase divides its work into
/// pieces that write disjoint places, so the result does not depend on the number of workers, and
/// every kernel computes a token the same way alone and among others, so it does not depend on T.
struct ForwardPass: @unchecked Sendable {
  // Sendable because a phase's pieces write disjoint places and phases do not overlap.

  let architecture: Architecture
  let weights: Weights
  let kernels: Kernels
  /// Its segments say which sequences the tokens belong to.
  let scratch: Scratch
  /// Token ids, [T].
  let tokens: UnsafePointer<Int32>
  let tokenCount: Int
  /// Where weights come from that are not computed on in the mapped file.
  var residency = Residency.mapped
  /// Whether every token sees all others, as in an encoder.
  var seesAll = false
  /// What a decoder attends to beside its own tokens.
  var source: Source?

  /// The phases of `layers` and `logits` together; each slice of a matrix has one of its own.
  static func phasesPerStep(_ architecture: Architecture, slices: Int = 0) -> Int {
    let perLayer = 14 + ExpertScratch.phases(architecture.feedForward.experts)
    return 1 + perLayer * architecture.layerCount + 3 + slices
  }

  /// Embeds the tokens and takes them through all layers; leaves the stream in `scratch.stream`.
  func layers(_ worker: inout ThreadTeam.Worker) {
    embed(&worker)
    for (index, layer) in weights.layers.enumerated() {
      heads(layer, index, &worker)
      if architecture.residual == .sequential { joinHeads(layer, &worker) }
      if let source { attendSource(source, index, &worker) }
      feedForward(layer, index, &worker)
      if architecture.residual == .parallel { joinHeads(layer, &worker) }
      joinFeedForward(layer, &worker)
    }
  }

  /// stream[t] = norm(embedding[token t] · scale (+ position[t])), as far as the model does so.
  func embed(_ worker: inout ThreadTeam.Worker) {
    // Rows that are read from the file are read by one worker, in the order of the text.
    let pieces = residency.tables == nil ? tokenCount : 1
    worker.phase(pieces: pieces) { piece in
      for t in pieces == 1 ? 0..<tokenCount : piece..<piece + 1 { embed(t) }
    }
  }

  private func embed(_ t: Int) {
    let stream = scratch.stream(t)
    let position = scratch.segments.segment(ofToken: t).position(ofToken: t)
    copyRow(Int(tokens[t]), of: weights.embedding, residency.tables?.embedding, to: stream)
    if let scale = architecture.embeddingScale {
      for i in 0..<architecture.width { stream[i] *= scale }
    }
    if let table = weights.position {
      let place = scratch.normed.vector(t)
      copyRow(position, of: table, residency.tables?.position, to: place)
      kernels.table.add_elements(stream, place, architecture.width)
    }
    scratch.sinusoids?.add(position: position, to: stream)
    if let norm = weights.embeddingNorm { normalise(norm, stream, into: stream) }
    scratch.rotary?.fill(scratch.turn(t), position: position)
    scratch.localRotary?.fill(scratch.localTurn(t), position: position)
  }

  private func copyRow(
    _ row: Int, of table: Matrix, _ file: TableRows?, to output: UnsafeMutablePointer<Float>
  ) {
    if let file { file.copyRow(row, to: output) } else { table.copyRow(row, to: output) }
  }

  /// attended = attention(norm(stream))
  ///
  /// Leaves what the query, key and value matrices were given in `scratch.normed`.
  func heads(_ layer: Weights.Layer, _ index: Int, _ worker: inout ThreadTeam.Worker) {
    let a = architecture.attention
    normalise(layer.attentionNorm, &worker)
    multiply(
      Product(layer.query, into: scratch.queries, stride: scratch.queryStride),
      Product(layer.key, into: scratch.keys, stride: scratch.keyStride),
      Product(layer.value, into: scratch.values, stride: scratch.keyStride),
      by: scratch.normed, &worker)
    worker.phase(dividing: tokenCount * a.keyValueHeadCount) { range in
      for item in range {
        place(item / a.keyValueHeadCount, item % a.keyValueHeadCount, layer, index)
      }
    }
    attend(layer, index, &worker)
    quantize(scratch.attended, for: layer.attentionOutput.weight, &worker)
  }

  /// stream += output · attended
  func joinHeads(_ layer: Weights.Layer, _ worker: inout ThreadTeam.Worker) {
    join(
      layer.attentionOutput, of: scratch.attended, outputNorm: layer.attentionOutputNorm,
      sumNorm: layer.attentionSumNorm, &worker)
  }

  /// The feed-forward block up to its last matrix, or the whole of a mixture of experts, for
  /// x = norm(stream), which it leaves in `scratch.normed`.
  func feedForward(_ layer: Weights.Layer, _ index: Int, _ worker: inout ThreadTeam.Worker) {
    normalise(layer.feedForwardNorm, &worker)
    if let mixture = layer.mixture {
      mix(layer, mixture, index, &worker)
    } else {
      inner(layer, &worker)
    }
  }

  /// inner = activation(gate · x) ⊙ (up · x), or activation(up · x), where x is in `scratch.normed`.
  ///
  /// - Parameter other: another product with x.
  func inner(
    _ layer: Weights.Layer, beside other: Product? = nil, _ worker: inout ThreadTeam.Worker
  ) {
    let inner = scratch.inner
    multiply(
      Product(layer.up, into: inner.values, stride: inner.paddedColumns),
      layer.gate.map {
        Product($0, into: scratch.gate, stride: architecture.feedForwardWidth)
      }, other,
      by: scratch.normed, &worker)
    worker.phase(pieces: inner.tileCount) { tile in
      for t in inner.tokenRange(ofTile: tile) {
        activate(
          inner.vector(t), gate: scratch.gate(t), width: architecture.feedForwardWidth)
      }
      if layer.down.weight.type != .f16 { inner.quantize(tile: tile, kernels: kernels) }
    }
  }

  /// stream += down · inner
  func joinFeedForward(_ layer: Weights.Layer, _ worker: inout ThreadTeam.Worker) {
    if layer.mixture != nil { return joinMixture(layer, &worker) }
    join(
      layer.down, of: scratch.inner, outputNorm: layer.feedForwardOutputNorm,
      sumNorm: layer.feedForwardSumNorm, &worker)
  }

  /// stream = sumNorm(stream + outputNorm(linear · inputs)), with those norms that there are.
  func join(
    _ linear: Weights.Linear, of inputs: Activations, outputNorm: Weights.Norm?,
    sumNorm: Weights.Norm?, _ worker: inout ThreadTeam.Worker
  ) {
    let width = architecture.width
    if let outputNorm {
      // What the block's first matrices were given has been used.
      let output = scratch.normed
      multiply(
        Product(linear, into: output.values, stride: output.paddedColumns), by: inputs, &worker)
      worker.phase(dividing: tokenCount) { range in
        for t in range {
          normalise(outputNorm, output.vector(t), into: output.vector(t))
          kernels.table.add_elements(scratch.stream(t), output.vector(t), width)
        }
      }
    } else {
      multiply(
        Product(linear, into: scratch.stream, stride: width), by: inputs, accumulating: true,
        &worker)
    }
    if let sumNorm {
      worker.phase(dividing: tokenCount) { range in
        for t in range { normalise(sumNorm, scratch.stream(t), into: scratch.stream(t)) }
      }
    }
  }

  /// up = activation(gate) ⊙ up, or activation(up) where there is no gate.
  func activate(
    _ up: UnsafeMutablePointer<Float>, gate: UnsafeMutablePointer<Float>, width: Int
  ) {
    let gated = architecture.feedForward.kind == .gated
    let target = gated ? gate : up
    switch architecture.feedForward.activation {
    case .silu: kernels.table.silu(target, width)
    case .geluTanh: kernels.table.gelu_tanh(target, width)
    case .gelu: kernels.table.gelu(target, width)
    case .relu: kernels.table.relu(target, width)
    }
    if gated { kernels.table.multiply_elements(up, gate, width) }
  }

  /// stream[i] = stream[last token of the i-th segment whose logits are wanted]
  ///
  /// So that the head is one product for all of them.
  func gatherEnds(_ worker: inout ThreadTeam.Worker) {
    worker.phase(pieces: 1) { _ in
      // Tokens ascend, so none is overwritten before it is read.
      for i in 0..<scratch.segments.wantedCount {
        let t = scratch.segments.wantedToken(i)
        if t != i { scratch.stream(i).update(from: scratch.stream(t), count: architecture.width) }
      }
    }
  }

  /// logits[i] = head · norm(stream[first + i]), for as many tokens as `headInput` is set to hold.
  func logits(_ range: Range<Int>, _ worker: inout ThreadTeam.Worker) {
    let input = scratch.headInput
    worker.phase(pieces: input.tileCount) { tile in
      for i in input.tokenRange(ofTile: tile) {
        let output = input.vector(i)
        normalise(weights.finalNorm, scratch.stream(range.lowerBound + i), into: output)
        if let scale = architecture.headScale {
          for column in 0..<architecture.width { output[column] *= scale }
        }
      }
      if weights.head.weight.type != .f16 { input.quantize(tile: tile, kernels: kernels) }
    }
    multiply(
      Product(weights.head, into: scratch.logits, stride: scratch.logitsStride), by: input, &worker)
    if let cap = architecture.logitSoftCap {
      worker.phase(dividing: input.tokens * scratch.logitsStride, unit: 16) { range in
        kernels.table.soft_cap(scratch.logits + range.lowerBound, cap, range.count)
      }
    }
  }
}
