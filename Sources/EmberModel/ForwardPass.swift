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

  /// The phases of `layers` and `logits` together; each slice of a matrix has one of its own.
  static func phasesPerStep(layers: Int, slices: Int = 0) -> Int { 1 + 11 * layers + 2 + slices }

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
    if let table = weights.position {
      let place = scratch.normed.vector(t)
      copyRow(position, of: table, residency.tables?.position, to: place)
      kernels.table.add_elements(stream, place, architecture.width)
    }
    if let rotary = scratch.rotary { rotary.fill(scratch.turn(t), position: position) }
  }

  private func copyRow(
    _ row: Int, of table: Matrix, _ file: TableRows?, to output: UnsafeMutablePointer<Float>
  ) {
    if let file { file.copyRow(row, to: output) } else { table.copyRow(row, to: output) }
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
        normalise(weights.finalNorm, range.lowerBound + i, into: input.vector(i))
      }
      if weights.head.type != .f16 { input.quantize(tile: tile, kernels: kernels) }
    }
    multiply(
      Product(
        Weights.Linear(weight: weights.head, bias: nil, slices: weights.headSlices),
        into: scratch.logits, stride: scratch.logitsStride),
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
    if let stream = residency.stream {
      multiply(first, through: stream, by: inputs, accumulating: accumulating, &worker)
      multiply(second, through: stream, by: inputs, accumulating: accumulating, &worker)
      multiply(third, through: stream, by: inputs, accumulating: accumulating, &worker)
      return
    }
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

  /// One product whose matrix is pinned or streams: a phase for each slice, as soon as it is there.
  private func multiply(
    _ product: Product?, through stream: WeightStream, by inputs: Activations, accumulating: Bool,
    _ worker: inout ThreadTeam.Worker
  ) {
    guard let product else { return }
    for index in product.linear.slices {
      let (slice, firstRow) = stream.wait(for: index, of: product.linear.weight)
      worker.phase(dividing: slice.rowGroups, unit: Matrix.groupsAtOnce) { groups in
        slice.multiply(
          inputs, groups: groups, output: product.output + firstRow, stride: product.stride,
          bias: product.linear.bias.map { $0 + firstRow }, accumulating: accumulating,
          kernels: kernels)
      }
      stream.release(index)
    }
  }
}
