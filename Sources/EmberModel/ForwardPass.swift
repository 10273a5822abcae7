import CKernels
import EmberKernels

/// From token ids to logits: the whole model, as every worker of a step runs it.
///
/// Shapes: T tokens of one chunk, W the width of the stream, H query heads and K key/value heads of
/// dimension D, F the feed-forward width, V the vocabulary. Every phase divides its work into
/// pieces that write disjoint places, so the result does not depend on the number of workers, and
/// every kernel computes a token the same way alone and among others, so it does not depend on T.
struct ForwardPass: @unchecked Sendable {
  // Sendable because a phase's pieces write disjoint places and phases do not overlap.

  let architecture: Architecture
  let weights: Weights
  let kernels: Kernels
  let cache: KeyValueCache
  let scratch: Scratch
  /// Token ids, [T].
  let tokens: UnsafePointer<Int32>
  let tokenCount: Int
  /// Positions that are in the cache already.
  let position: Int

  /// The phases of `layers` and `logits` together.
  static func phasesPerStep(layers: Int) -> Int { 1 + 11 * layers + 2 }

  /// Embeds the tokens and takes them through all layers; leaves the stream in `scratch.stream`.
  func layers(_ worker: inout ThreadTeam.Worker) {
    embed(&worker)
    for (index, layer) in weights.layers.enumerated() {
      attention(layer, index, &worker)
      feedForward(layer, &worker)
    }
  }

  /// stream[t] = embedding[token t] (+ position[t])
  func embed(_ worker: inout ThreadTeam.Worker) {
    worker.phase(pieces: tokenCount) { t in
      let stream = scratch.stream(t)
      weights.embedding.copyRow(Int(tokens[t]), to: stream)
      if let table = weights.position {
        let place = scratch.normed.vector(t)
        table.copyRow(position + t, to: place)
        kernels.table.add_elements(stream, place, architecture.width)
      }
      if let rotary = scratch.rotary { rotary.fill(scratch.turn(t), position: position + t) }
    }
  }

  /// stream += output · attention(norm(stream))
  ///
  /// Leaves what the query, key and value matrices were given in `scratch.normed`, and what the
  /// output matrix was given in `scratch.attended`.
  func attention(
    _ layer: Weights.Layer, _ index: Int, _ worker: inout ThreadTeam.Worker
  ) {
    let a = architecture.attention
    normalise(layer.attentionNorm, &worker)
    multiply(
      Product(layer.query, into: scratch.queries, stride: scratch.queryStride),
      Product(layer.key, into: scratch.keys, stride: scratch.keyStride),
      Product(layer.value, into: scratch.values, stride: scratch.keyStride),
      by: scratch.normed, &worker)
    worker.phase(dividing: tokenCount * a.keyValueHeadCount) { range in
      for item in range { place(item / a.keyValueHeadCount, item % a.keyValueHeadCount, index) }
    }
    attend(layer: index, &worker)
    quantize(scratch.attended, for: layer.attentionOutput.weight, &worker)
    multiply(
      Product(layer.attentionOutput, into: scratch.stream, stride: architecture.width),
      by: scratch.attended, accumulating: true, &worker)
  }

  /// Rotates and scales the queries of one token that share key/value head `head`, rotates the
  /// key, and stores key and value in the cache.
  private func place(_ t: Int, _ head: Int, _ layer: Int) {
    let a = architecture.attention
    let shared = a.headCount / a.keyValueHeadCount
    let scale = 1 / Float(a.headDimension).squareRoot()
    let key = scratch.keys + t * scratch.keyStride + head * a.headDimension
    let value = scratch.values + t * scratch.keyStride + head * a.headDimension
    let queries = scratch.queries + t * scratch.queryStride + head * shared * a.headDimension
    if let rotary = scratch.rotary {
      let turn = UnsafePointer(scratch.turn(t))
      rotary.rotate(key, by: turn, kernels: kernels)
      for q in 0..<shared {
        rotary.rotate(queries + q * a.headDimension, by: turn, kernels: kernels)
      }
    }
    for i in 0..<shared * a.headDimension { queries[i] *= scale }
    if cache.precision.hasCodes {
      for q in 0..<shared {
        let block = queryBlock(t, head: head * shared + q)
        kernels.table.quantize_query(
          queries + q * a.headDimension, a.headDimension, scratch.queryCodes + 32 * block,
          scratch.queryScales + block, scratch.querySums + block)
      }
    }
    cache.store(
      layer: layer, head: head, position: position + t, key: key, value: value, kernels: kernels)
  }

  /// attended[t] = softmax(query · keys) · values, for all heads.
  ///
  /// The positions of a single token are shared out too: there may be fewer key/value heads than
  /// workers. The pieces belong to the definition of the result, so it does not depend on who
  /// computes them.
  private func attend(layer: Int, _ worker: inout ThreadTeam.Worker) {
    let heads = architecture.attention.keyValueHeadCount
    let tiles = scratch.attended.tileCount
    let pieces = position / Int(EMBER_ATTENTION_PIECE) + 1
    if tokenCount > 1 || pieces == 1 {
      worker.phase(pieces: tiles * heads) { attend(tile: $0 / heads, head: $0 % heads, layer) }
      return
    }
    let shared = architecture.attention.headCount / heads
    worker.phase(pieces: pieces * heads) { item in
      let (piece, head) = (item / heads, item % heads)
      var work = attention(layer, head, tokens: 0..<1)
      work.states = scratch.pieceStates(piece: piece, head: head * shared)
      attend(&work, piece..<piece + 1)
    }
    worker.phase(dividing: architecture.attention.headCount) { range in
      for head in range {
        join(scratch.pieceStates(piece: 0, head: head), pieces, token: 0, head: head)
      }
    }
  }

  /// Attention of one tile of tokens over one key/value head, into `scratch.attended`.
  private func attend(tile: Int, head: Int, _ layer: Int) {
    let shared = architecture.attention.headCount / architecture.attention.keyValueHeadCount
    let range = scratch.attended.tokenRange(ofTile: tile)
    var work = attention(layer, head, tokens: range)
    let last = position + range.upperBound - 1
    attend(&work, 0..<last / Int(EMBER_ATTENTION_PIECE) + 1)
    for (i, t) in range.enumerated() {
      for q in 0..<shared {
        let state = work.states + (i * shared + q) * scratch.attentionStride
        join(state, 1, token: t, head: head * shared + q)
      }
    }
  }

  /// The queries of some tokens that share one key/value head, and what they look at.
  private func attention(_ layer: Int, _ head: Int, tokens: Range<Int>) -> ember_attention {
    let shared = architecture.attention.headCount / architecture.attention.keyValueHeadCount
    let (first, column) = (tokens.lowerBound, head * shared)
    var work = cache.attention(layer: layer, head: head)
    work.tokens = tokens.count
    work.heads = shared
    work.first_visible = position + first + 1
    work.queries = UnsafePointer(
      scratch.queries + first * scratch.queryStride + column * work.dimension)
    work.query_stride = scratch.queryStride
    let block = queryBlock(first, head: column)
    work.query_codes = UnsafePointer(scratch.queryCodes + 32 * block)
    work.query_scales = UnsafePointer(scratch.queryScales + block)
    work.query_sums = UnsafePointer(scratch.querySums + block)
    work.query_blocks = scratch.queryBlocks
    work.states = scratch.attentionStates(keyValueHead: head, token: first)
    work.scratch = scratch.attentionScratch(keyValueHead: head, token: first)
    return work
  }

  /// The first block of codes of one query; 0 where the cache holds halves.
  private func queryBlock(_ token: Int, head: Int) -> Int {
    if cache.precision == .half { return 0 }
    return token * scratch.queryBlocks + head * KeyValueCache.blocks(cache.headDimension)
  }

  private func attend(_ work: inout ember_attention, _ pieces: Range<Int>) {
    switch cache.precision {
    case .half: kernels.table.attend(&work, pieces.lowerBound, pieces.count)
    case .int8: kernels.table.attend_q8(&work, pieces.lowerBound, pieces.count)
    case .int8KeysInt4Values: kernels.table.attend_q8q4(&work, pieces.lowerBound, pieces.count)
    case .int4: kernels.table.attend_q4(&work, pieces.lowerBound, pieces.count)
    }
  }

  /// The output of one query head, from the states of its positions' pieces.
  private func join(
    _ states: UnsafeMutablePointer<Float>, _ count: Int, token: Int, head: Int
  ) {
    kernels.table.join_attention(
      states, count, scratch.pieceStride, cache.headDimension, cache.paddedDimension,
      scratch.attended.vector(token) + head * cache.headDimension)
  }

  /// stream += down · (activation(gate · x) ⊙ (up · x)), or down · activation(up · x), where
  /// x = norm(stream).
  ///
  /// Leaves x in `scratch.normed`, and what the down matrix was given in `scratch.inner`.
  func feedForward(_ layer: Weights.Layer, _ worker: inout ThreadTeam.Worker) {
    normalise(layer.feedForwardNorm, &worker)
    let inner = scratch.inner
    multiply(
      Product(layer.up, into: inner.values, stride: inner.paddedColumns),
      layer.gate.map {
        Product($0, into: scratch.gate, stride: architecture.feedForwardWidth)
      },
      by: scratch.normed, &worker)
    worker.phase(pieces: inner.tileCount) { tile in
      for t in inner.tokenRange(ofTile: tile) { activate(inner.vector(t), gate: scratch.gate(t)) }
      if layer.down.weight.type != .f16 { inner.quantize(tile: tile, kernels: kernels) }
    }
    multiply(
      Product(layer.down, into: scratch.stream, stride: architecture.width), by: inner,
      accumulating: true, &worker)
  }

  /// up = activation(gate) ⊙ up, or activation(up) where there is no gate.
  private func activate(
    _ up: UnsafeMutablePointer<Float>, gate: UnsafeMutablePointer<Float>
  ) {
    let width = architecture.feedForwardWidth
    let gated = architecture.feedForward.kind == .gated
    let target = gated ? gate : up
    switch architecture.feedForward.activation {
    case .silu: kernels.table.silu(target, width)
    case .geluTanh: kernels.table.gelu_tanh(target, width)
    }
    if gated { kernels.table.multiply_elements(up, gate, width) }
  }

  /// logits[i] = head · norm(stream[first + i]), for up to 16 tokens.
  func logits(_ range: Range<Int>, _ worker: inout ThreadTeam.Worker) {
    let input = scratch.headInput
    worker.phase(pieces: 1) { _ in
      for (i, t) in range.enumerated() { normalise(weights.finalNorm, t, into: input.vector(i)) }
      if weights.head.type != .f16 { input.quantize(tile: 0, kernels: kernels) }
    }
    multiply(
      Product(
        Weights.Linear(weight: weights.head, bias: nil), into: scratch.logits,
        stride: scratch.logitsStride),
      by: input, &worker)
  }

  // MARK: - Steps that the blocks share

  /// normed = norm(stream), quantized.
  func normalise(_ norm: Weights.Norm, _ worker: inout ThreadTeam.Worker) {
    let normed = scratch.normed
    worker.phase(pieces: normed.tileCount) { tile in
      for t in normed.tokenRange(ofTile: tile) { normalise(norm, t, into: normed.vector(t)) }
      if scratch.quantizesInputs { normed.quantize(tile: tile, kernels: kernels) }
    }
  }

  private func normalise(_ norm: Weights.Norm, _ t: Int, into output: UnsafeMutablePointer<Float>) {
    let (stream, width) = (scratch.stream(t), architecture.width)
    let epsilon = architecture.norm.epsilon
    switch architecture.norm.kind {
    case .rootMeanSquare: kernels.table.rms_norm(stream, norm.gain, epsilon, width, output)
    case .layer: kernels.table.layer_norm(stream, norm.gain, norm.bias, epsilon, width, output)
    }
  }

  private func quantize(
    _ inputs: Activations, for matrix: Matrix, _ worker: inout ThreadTeam.Worker
  ) {
    if matrix.type == .f16 { return }
    worker.phase(pieces: inputs.tileCount) { inputs.quantize(tile: $0, kernels: kernels) }
  }

  /// output[t] = linear · input[t], rows `stride` floats apart.
  private struct Product {
    let linear: Weights.Linear
    let output: UnsafeMutablePointer<Float>
    let stride: Int

    init(_ linear: Weights.Linear, into output: UnsafeMutablePointer<Float>, stride: Int) {
      self.linear = linear
      self.output = output
      self.stride = stride
    }

    var rowGroups: Int { linear.weight.rowGroups }
  }

  /// Up to three products with a common input, as one phase: their row groups in a row. (A list of
  /// them would be an array, and a step allocates nothing.)
  private func multiply(
    _ first: Product, _ second: Product? = nil, _ third: Product? = nil, by inputs: Activations,
    accumulating: Bool = false, _ worker: inout ThreadTeam.Worker
  ) {
    let secondStart = first.rowGroups
    let thirdStart = secondStart + (second?.rowGroups ?? 0)
    let total = thirdStart + (third?.rowGroups ?? 0)
    func rows(_ range: Range<Int>, of product: Product?, from start: Int) {
      guard let product else { return }
      let groups = range.clamped(to: start..<start + product.rowGroups)
      if groups.isEmpty { return }
      product.linear.weight.multiply(
        inputs, groups: groups.lowerBound - start..<groups.upperBound - start,
        output: product.output, stride: product.stride, bias: product.linear.bias,
        accumulating: accumulating, kernels: kernels)
    }
    worker.phase(dividing: total, unit: Matrix.groupsAtOnce) { range in
      rows(range, of: first, from: 0)
      rows(range, of: second, from: secondStart)
      rows(range, of: third, from: thirdStart)
    }
  }
}
