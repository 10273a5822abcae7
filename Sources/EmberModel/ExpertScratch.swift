import EmberKernels

/// The buffers of mixtures of experts, beside those that all models have.
///
/// Shapes: T tokens of a step, W the width of the stream, E experts of a layer, of which a token is
/// given to k, F their inner width.
final class ExpertScratch: @unchecked Sendable {
  // Sendable for the reason given at ForwardPass.

  let routing: ExpertRouting
  /// F
  let innerWidth: Int
  /// [T][E] the router's outputs
  let scores: UnsafeMutablePointer<Float>
  /// [T][W] what the tokens of one expert are
  let gathered: Activations
  /// [T][F] of the tokens of one expert
  let inner: Activations
  /// [k][F] of the experts of one token, each a tile
  let ownInner: Activations
  /// [max(T, k)][F]
  let gates: UnsafeMutablePointer<Float>
  /// [max(T, k)][W] what the experts say
  let products: UnsafeMutablePointer<Float>
  /// [T][W] the sum of it
  let mixed: UnsafeMutablePointer<Float>
  /// [T]
  let sharedGates: UnsafeMutablePointer<Float>

  /// Phases of a layer beside those of any other: the router's, and some for each expert.
  static func phases(_ shape: Architecture.Experts?) -> Int {
    shape.map { 6 + max(5 * $0.count, 5) } ?? 0
  }

  static func byteCount(architecture a: Architecture, capacity: Int) -> Int {
    guard let shape = a.feedForward.experts else { return 0 }
    let rows = max(capacity, shape.used)
    return ExpertRouting.byteCount(shape, layers: a.layerCount, capacity: capacity)
      + 4 * (capacity * (shape.count + a.width + 1) + rows * (shape.width + a.width))
      + Activations.byteCount(tokens: capacity, columns: a.width)
      + Activations.byteCount(tokens: capacity, columns: shape.width)
      + Activations.byteCount(tokens: shape.used, columns: shape.width, tileLength: 1)
      // A cache line for each phase of the team.
      + 64 * a.layerCount * phases(shape)
  }

  /// nil where the model has no experts.
  ///
  /// - Parameter transposes: whether any matrix has outliers.
  init?(architecture a: Architecture, capacity: Int, transposes: Bool) {
    guard let shape = a.feedForward.experts else { return nil }
    func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
      let buffer = UnsafeMutablePointer<Float>.aligned(count)
      buffer.initialize(repeating: 0, count: count)
      return buffer
    }
    let rows = max(capacity, shape.used)
    routing = ExpertRouting(shape, layers: a.layerCount, capacity: capacity)
    innerWidth = shape.width
    scores = floats(capacity * shape.count)
    gathered = Activations(tokens: capacity, columns: a.width, transposes: transposes)
    inner = Activations(tokens: capacity, columns: shape.width, transposes: transposes)
    ownInner = Activations(tokens: shape.used, columns: shape.width, tileLength: 1)
    ownInner.tokens = shape.used
    gates = floats(rows * shape.width)
    products = floats(rows * a.width)
    mixed = floats(capacity * a.width)
    sharedGates = floats(capacity)
  }

  deinit {
    for buffer in [scores, gates, products, mixed, sharedGates] { buffer.deallocate() }
  }
}
