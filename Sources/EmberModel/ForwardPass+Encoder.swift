import EmberKernels

/// The encoder: from the source's tokens to the keys and values that the decoder's layers look at.
extension ForwardPass {
  /// Phases of `encode` at most; each slice of a matrix has one of its own.
  static func phasesToEncode(
    _ encoder: Architecture, decoderLayers: Int, slices: Int
  ) -> Int {
    phasesPerStep(encoder, slices: slices) + 1 + 3 * decoderLayers
  }

  /// Phases that attention to a source adds to a step.
  static func phasesToAttendSource(layers: Int) -> Int { 9 * layers }

  /// Takes the source through the encoder's layers, then through what makes keys and values of it,
  /// and stores these; leaves the encoder's output in `scratch.normed`.
  ///
  /// The tokens are one segment from position 0 on, whose cache has one layer: what a layer stored in
  /// it, the next one need not keep.
  ///
  /// - Parameter cache: for keys and values of all layers of the decoder.
  func encode(into cache: KeyValueCache, _ worker: inout ThreadTeam.Worker) {
    embed(&worker)
    for layer in weights.layers {
      heads(layer, 0, &worker)
      joinHeads(layer, &worker)
      feedForward(layer, 0, &worker)
      joinFeedForward(layer, &worker)
    }
    normalise(weights.finalNorm, &worker)
    let heads = architecture.attention.keyValueHeadCount
    let dimension = architecture.attention.headDimension
    for (index, cross) in weights.cross.enumerated() {
      multiply(
        Product(cross.key, into: scratch.keys, stride: scratch.keyStride),
        Product(cross.value, into: scratch.values, stride: scratch.keyStride),
        by: scratch.normed, &worker)
      worker.phase(dividing: tokenCount * heads) { range in
        for item in range {
          let (t, head) = (item / heads, item % heads)
          let place = t * scratch.keyStride + head * dimension
          cache.store(
            layer: index, head: head, position: t, key: scratch.keys + place,
            value: scratch.values + place, kernels: kernels)
        }
      }
    }
  }
}

/// What the threads of a session compute to read a source.
struct EncoderStep: TeamWork {
  let pass: ForwardPass
  let cache: KeyValueCache

  func run(_ worker: inout ThreadTeam.Worker) { pass.encode(into: cache, &worker) }
}
