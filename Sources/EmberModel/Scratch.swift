import CKernels
import EmberKernels

/// The buffers of a forward pass, allocated once per session for up to `capacity` tokens at a time.
final class Scratch: @unchecked Sendable {
  // Sendable for the reason given at ForwardPass.

  let rotary: RotaryTable?
  /// Of layers with a window, where it is another.
  let localRotary: RotaryTable?
  let sinusoids: SinusoidalPositions?
  /// What the next step computes, of which sequences.
  let segments: StepSegments
  /// Whether any matrix takes int8 activations.
  let quantizesInputs: Bool
  /// [T][W] the residual stream
  let stream: UnsafeMutablePointer<Float>
  /// [T][W] norm(stream)
  let normed: Activations
  /// [T][H · D]
  let queries: UnsafeMutablePointer<Float>
  let queryStride: Int
  /// [T][H · blocks][32] codes of the queries, with scales and sums [T][H · blocks]; empty where
  /// the cache holds halves.
  let queryCodes: UnsafeMutablePointer<Int8>
  let queryScales: UnsafeMutablePointer<Float>
  let querySums: UnsafeMutablePointer<Int32>
  /// H · blocks
  let queryBlocks: Int
  /// [T][K · D] each
  let keys: UnsafeMutablePointer<Float>
  let values: UnsafeMutablePointer<Float>
  let keyStride: Int
  /// [T][H · D] the heads' outputs
  let attended: Activations
  /// [T][F]
  let gate: UnsafeMutablePointer<Float>
  /// [T][F]
  let inner: Activations
  /// Where there are experts.
  let experts: ExpertScratch?
  /// [logits capacity][W]
  let headInput: Activations
  /// [logits capacity][V]
  let logits: UnsafeMutablePointer<Float>
  let logitsStride: Int
  let byteCount: Int

  private let width: Int
  private let feedForwardWidth: Int
  /// [T][rotary dimensions] cosines and sines
  private let turns: UnsafeMutablePointer<Float>
  private let localTurns: UnsafeMutablePointer<Float>
  /// [H][distance] what a score gains, where positions are biases.
  private let biases: UnsafeMutablePointer<Float>
  /// Distances of a head, or 0.
  let biasStride: Int
  /// Place of distance 0 among those of a head.
  private let biasOrigin: Int
  /// [K][T][H / K][padded dimension + 16]: a piece of attention, which is a key/value head and
  /// some tokens, uses the slots of its tokens and no others.
  private let attentionStates: UnsafeMutablePointer<Float>
  /// As the states; used where positions are more than a piece of attention.
  private let attentionScratch: UnsafeMutablePointer<Float>
  /// [pieces of the context][H][padded dimension + 16]: a single token's pieces are computed apart.
  private let pieceStates: UnsafeMutablePointer<Float>
  /// Floats of one query's state.
  let attentionStride: Int
  private let headCount: Int
  private let headsPerKey: Int
  private let capacity: Int

  /// Bytes that the buffers take; `Int.max` where no integer holds their number.
  static func byteCount(
    architecture a: Architecture, precision: CachePrecision, contextLength: Int, capacity: Int,
    logitsCapacity: Int = Activations.tokensPerTile, seesAll: Bool = false
  ) -> Int {
    let queries = a.attention.headCount * a.attention.headDimension
    let keys = a.attention.keyValueHeadCount * a.attention.headDimension
    let state = a.attention.headCount * (KeyValueCache.paddedDimension(a) + 16)
    let pieces = pieceCount(contextLength)
    let blocks = a.attention.headCount * KeyValueCache.blocks(a.attention.headDimension)
    let inner = a.has(.up) ? a.feedForwardWidth : 0
    let gate = a.has(.gate) ? inner : 0
    var turn = 0
    if case .rotary(_, let dimensions, _, _, let localBase) = a.position {
      turn = localBase == nil ? dimensions : 2 * dimensions
    }
    // Every number of an architecture is below 2^27 and their sums below 2^31; only the capacity
    // can be anything.
    let floats = a.width + queries + 2 * keys + gate + turn + state * (pieces > 1 ? 2 : 1)
    let perToken = 4 * floats + (precision == .half ? 0 : blocks * 40)
    let (tokens, overflows) = perToken.multipliedReportingOverflow(by: capacity)
    if overflows || tokens > 1 << 60 { return .max }
    return tokens + 4 * (logitsCapacity * a.vocabularySize + pieces * state)
      + 4 * a.attention.headCount * biasDistances(a, contextLength, seesAll: seesAll)
      + Activations.byteCount(tokens: capacity, columns: a.width)
      + Activations.byteCount(tokens: capacity, columns: queries)
      + Activations.byteCount(tokens: capacity, columns: inner)
      + Activations.byteCount(tokens: logitsCapacity, columns: a.width)
      + ExpertScratch.byteCount(architecture: a, capacity: capacity)
  }

  /// Distances that there are biases for: of an encoder, below 0 as well.
  private static func biasDistances(
    _ a: Architecture, _ contextLength: Int, seesAll: Bool
  ) -> Int {
    switch a.position {
    case .linearBias, .relativeBias: seesAll ? 2 * contextLength - 1 : contextLength
    case .rotary, .learned, .sinusoidal: 0
    }
  }

  private static func pieceCount(_ contextLength: Int) -> Int {
    let pieceSize = Int(EMBER_ATTENTION_PIECE)
    return (contextLength + pieceSize - 1) / pieceSize
  }

  /// - Parameters:
  ///   - cache: one of those that steps will use; they are all alike.
  ///   - segmentCapacity: sequences that a step may take forward.
  ///   - logitsCapacity: tokens whose logits there is room for at a time.
  ///   - seesAll: whether it is an encoder's.
  init(
    architecture a: Architecture, weights: Weights, cache: KeyValueCache, contextLength: Int,
    capacity: Int, segmentCapacity: Int = 1, logitsCapacity: Int = Activations.tokensPerTile,
    seesAll: Bool = false
  ) {
    self.capacity = capacity
    segments = StepSegments(tokenCapacity: capacity, segmentCapacity: segmentCapacity)
    if case .rotary(let base, let dimensions, let pairing, let scaling, let localBase) = a.position
    {
      rotary = RotaryTable(
        base: base, dimensions: dimensions, pairing: pairing, scaling: scaling,
        contextLength: contextLength)
      localRotary = localBase.map {
        RotaryTable(
          base: $0, dimensions: dimensions, pairing: pairing, contextLength: contextLength)
      }
    } else {
      rotary = nil
      localRotary = nil
    }
    sinusoids = a.position == .sinusoidal ? SinusoidalPositions(width: a.width) : nil
    let crossMatrices = weights.cross.flatMap { seesAll ? [$0.key, $0.value] : [$0.query] }
    let layersQuantize = weights.layers.contains { layer in
      [layer.query, layer.key, layer.value, layer.up, layer.gate ?? layer.up]
        .contains { $0.weight.type != .f16 }
        || layer.mixture?.quantizesInputs == true
    }
    quantizesInputs = layersQuantize || crossMatrices.contains { $0.weight.type != .f16 }
    width = a.width
    feedForwardWidth = a.has(.up) ? a.feedForwardWidth : 0
    queryStride = a.attention.headCount * a.attention.headDimension
    keyStride = a.attention.keyValueHeadCount * a.attention.headDimension
    logitsStride = a.vocabularySize
    attentionStride = cache.paddedDimension + 16
    headCount = a.attention.headCount
    queryBlocks = headCount * KeyValueCache.blocks(a.attention.headDimension)
    headsPerKey = a.attention.headCount / a.attention.keyValueHeadCount

    var total = 0
    func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
      total += count * 4
      let buffer = UnsafeMutablePointer<Float>.aligned(count)
      buffer.initialize(repeating: 0, count: count)
      return buffer
    }
    let transposes = weights.haveOutliers
    func activations(_ tokens: Int, _ columns: Int) -> Activations {
      total += Activations.byteCount(tokens: tokens, columns: columns)
      return Activations(tokens: tokens, columns: columns, transposes: transposes)
    }
    stream = floats(capacity * width)
    normed = activations(capacity, width)
    queries = floats(capacity * queryStride)
    keys = floats(capacity * keyStride)
    values = floats(capacity * keyStride)
    attended = activations(capacity, queryStride)
    gate = floats(a.has(.gate) ? capacity * feedForwardWidth : 0)
    inner = activations(capacity, feedForwardWidth)
    headInput = activations(logitsCapacity, width)
    logits = floats(logitsCapacity * logitsStride)
    turns = floats(capacity * (rotary?.dimensions ?? 0))
    localTurns = floats(capacity * (localRotary?.dimensions ?? 0))
    biasStride = Self.biasDistances(a, contextLength, seesAll: seesAll)
    biasOrigin = seesAll && biasStride > 0 ? contextLength - 1 : 0
    biases = floats(headCount * biasStride)
    if case .relativeBias(let buckets, let maximum) = a.position, let table = weights.relativeBias {
      RelativeBias(buckets: buckets, maximumDistance: maximum, isBidirectional: seesAll).fill(
        biases + biasOrigin, stride: biasStride, distances: -biasOrigin..<contextLength,
        table: table, heads: headCount)
    } else if biasStride > 0 {
      LinearBias.fill(biases, heads: headCount, distances: biasStride)
    }
    let pieces = Self.pieceCount(contextLength)
    attentionStates = floats(headCount * capacity * attentionStride)
    attentionScratch = floats(pieces > 1 ? headCount * capacity * attentionStride : 0)
    // Left untouched: the system gives memory only to the pieces that a text reaches.
    pieceStates = .aligned(pieces * headCount * attentionStride)
    total += pieces * headCount * attentionStride * 4
    let blocks = cache.precision.hasCodes ? capacity * queryBlocks : 0
    queryCodes = .aligned(blocks * 32)
    queryCodes.initialize(repeating: 0, count: blocks * 32)
    queryScales = floats(blocks)
    querySums = .aligned(blocks)
    querySums.initialize(repeating: 0, count: blocks)
    experts = ExpertScratch(architecture: a, capacity: capacity, transposes: transposes)
    byteCount =
      total + blocks * 36 + ExpertScratch.byteCount(architecture: a, capacity: capacity)
  }

  deinit {
    for buffer in [
      stream, queries, keys, values, gate, logits, turns, localTurns, biases, attentionStates,
      attentionScratch, pieceStates, queryScales,
    ] {
      buffer.deallocate()
    }
    queryCodes.deallocate()
    querySums.deallocate()
  }

  /// The next step computes `tokens` tokens of one sequence; between steps only.
  func prepare(tokens: Int, of cache: KeyValueCache, from position: Int) {
    segments.removeAll()
    segments.append(cache, position: position, tokens: tokens)
    prepareSegments()
  }

  /// The next step computes the tokens of `segments`.
  func prepareSegments() {
    let tokens = segments.tokenCount
    normed.tokens = tokens
    attended.tokens = tokens
    inner.tokens = tokens
  }

  func stream(_ t: Int) -> UnsafeMutablePointer<Float> { stream + t * width }
  func gate(_ t: Int) -> UnsafeMutablePointer<Float> { gate + t * feedForwardWidth }
  func turn(_ t: Int) -> UnsafeMutablePointer<Float> { turns + t * (rotary?.dimensions ?? 0) }
  func localTurn(_ t: Int) -> UnsafeMutablePointer<Float> {
    localTurns + t * (localRotary?.dimensions ?? 0)
  }

  /// How the heads of a token are rotated in a layer; nil where they are not.
  func turn(_ t: Int, isLocal: Bool) -> (RotaryTable, UnsafePointer<Float>)? {
    if isLocal, let localRotary { return (localRotary, UnsafePointer(localTurn(t))) }
    return rotary.map { ($0, UnsafePointer(turn(t))) }
  }

  /// What is added to the scores of a head and those after it, by distance; nil where nothing is.
  func bias(head: Int) -> UnsafePointer<Float>? {
    biasStride == 0 ? nil : UnsafePointer(biases + head * biasStride + biasOrigin)
  }

  /// State of the online softmax for the queries of one key/value head, for the tokens from
  /// `token` on: H / K slots a token.
  func attentionStates(keyValueHead head: Int, token: Int) -> UnsafeMutablePointer<Float> {
    attentionStates + (head * capacity + token) * headsPerKey * attentionStride
  }

  /// Room for one more piece's states.
  func attentionScratch(keyValueHead head: Int, token: Int) -> UnsafeMutablePointer<Float> {
    attentionScratch + (head * capacity + token) * headsPerKey * attentionStride
  }

  /// State of one piece of a single token's positions, for query heads from `head` on.
  func pieceStates(piece: Int, head: Int) -> UnsafeMutablePointer<Float> {
    pieceStates + (piece * headCount + head) * attentionStride
  }

  /// Floats from one piece's states to the next.
  var pieceStride: Int { headCount * attentionStride }
}
