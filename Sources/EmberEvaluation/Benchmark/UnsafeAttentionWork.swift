import CKernels
import EmberGeneration
import EmberKernels
import EmberModel

/// Attention with 32 heads of 64 dimensions that share 4 key/value heads, as in TinyLlama: of one
/// new token behind many, one layer after another, or of a whole prompt in one layer; over a cache
/// of halves or of codes.
final class AttentionWork: KernelWork, @unchecked Sendable {
  // Sendable because each piece of a phase writes the output and the scratch of its own heads.
  let name: String
  let place: KernelOperands
  let bytes: Int
  let operations: Int
  /// Of codes, half of the operations are in int8.
  let arithmetic = ArithmeticPeak.Kind.f32
  let isThreaded = true

  private static let keyValueHeads = 4
  private static let shared = 8
  private static let dimension = 64
  private static var heads: Int { keyValueHeads * shared }

  private static let blocks = dimension / 32

  private let precision: CachePrecision
  private let memory: UnsafeRawPointer?
  private let layers: Int
  /// In the cache, the new ones included.
  private let positions: Int
  /// New ones: 1, or a multiple of 16.
  private let tokens: Int
  /// [tokens][heads][dimension]
  private let queries: UnsafeMutablePointer<Float>
  /// [tokens][heads][blocks][32] codes of the queries, with scales and sums [tokens][heads][blocks].
  private let queryCodes: UnsafeMutablePointer<Int8>
  private let queryScales: UnsafeMutablePointer<Float>
  private let querySums: UnsafeMutablePointer<Int32>
  /// [tokens][heads][dimension]
  private let output: UnsafeMutablePointer<Float>
  /// [key/value heads][states and scratch][16 · shared][dimension + 16]
  private let scratch: UnsafeMutablePointer<Float>

  private static let scratchFloats = 2 * 16 * shared * (dimension + 16)

  /// - Parameter positions: a multiple of the kernels' chunk, so that none is read half.
  convenience init(
    decodingAt positions: Int, _ precision: CachePrecision, _ memory: UnsafeRawBufferPointer
  ) {
    // More than fits in a processor's cache.
    self.init(
      layers: precision == .half ? 16 : min(KernelWorks.phases, 192 / precision.bits),
      positions: positions, tokens: 1,
      precision, memory)
  }

  /// - Parameter tokens: a multiple of 16.
  convenience init(
    promptTokens tokens: Int, _ precision: CachePrecision, _ memory: UnsafeRawBufferPointer
  ) {
    self.init(layers: 1, positions: tokens, tokens: tokens, precision, memory)
  }

  private init(
    layers: Int, positions: Int, tokens: Int, _ precision: CachePrecision,
    _ memory: UnsafeRawBufferPointer
  ) {
    self.precision = precision
    self.layers = layers
    self.positions = positions
    self.tokens = tokens
    self.memory = memory.baseAddress
    let (heads, dimension) = (Self.heads, Self.dimension)
    let isDecode = tokens == 1
    name =
      (isDecode ? "attention, 1 token at \(positions)" : "attention, prompt of \(tokens)")
      + ", \(heads)/\(Self.keyValueHeads) heads"
      + (precision == .half ? "" : ", \(precision.rawValue)-bit cache")
    place = isDecode ? .memory : .cache
    bytes = layers * Self.keyValueHeads * positions * Self.bytesPerPosition(precision)
    // Every token sees those before it and itself; keys and values, a multiplication and an
    // addition each.
    let seen = isDecode ? positions : tokens * (tokens + 1) / 2
    operations = layers * heads * seen * dimension * 4
    queries = .aligned(tokens * heads * dimension)
    output = .aligned(tokens * heads * dimension)
    scratch = .aligned(Self.keyValueHeads * Self.scratchFloats)
    var random = SplitMix64(seed: 4)
    for i in 0..<tokens * heads * dimension { queries[i] = Float(random.nextUnit()) - 0.5 }
    let blocks = tokens * heads * Self.blocks
    queryCodes = .aligned(blocks * 32)
    queryScales = .aligned(blocks)
    querySums = .aligned(blocks)
    // Heads of whole blocks, one after another: as one long query.
    Kernels.best.table.quantize_query(
      queries, tokens * heads * dimension, queryCodes, queryScales, querySums)
    output.initialize(repeating: 0, count: tokens * heads * dimension)
    scratch.initialize(repeating: 0, count: Self.keyValueHeads * Self.scratchFloats)
  }

  deinit {
    queries.deallocate()
    queryCodes.deallocate()
    queryScales.deallocate()
    querySums.deallocate()
    output.deallocate()
    scratch.deallocate()
  }

  /// Key and value of one head; with the scales of their blocks where they are codes.
  private static func bytesPerPosition(_ precision: CachePrecision) -> Int {
    dimension * (precision.keyBits + precision.valueBits) / 8
      + (precision == .half ? 0 : 4 * blocks)
  }

  func run(_ team: ThreadTeam, _ kernels: Kernels) {
    team.step { worker in
      for layer in 0..<layers {
        worker.phase(pieces: Self.keyValueHeads) { head in
          for first in stride(from: 0, to: tokens, by: 16) {
            attend(layer, head, tokens: first..<min(first + 16, tokens), kernels)
          }
        }
      }
    }
  }

  /// The query heads that share a key/value head go through it together.
  private func attend(_ layer: Int, _ head: Int, tokens range: Range<Int>, _ kernels: Kernels) {
    guard let memory else { return }
    // In bounds: `bytes` is layers · heads times what one head takes, and works larger than the
    // memory are left out.
    let keys =
      memory + (layer * Self.keyValueHeads + head) * positions * Self.bytesPerPosition(precision)
    let keyBytes = positions * Self.dimension * precision.keyBits / 8
    let valueBytes = positions * Self.dimension * precision.valueBits / 8
    let (stride, start) = (Self.heads * Self.dimension, head * Self.shared * Self.dimension)
    var work = ember_attention()
    work.tokens = range.count
    work.heads = Self.shared
    work.first_visible = positions - tokens + range.lowerBound + 1
    work.dimension = Self.dimension
    work.padded_dimension = Self.dimension
    work.keys = keys
    work.values = keys + keyBytes
    work.queries = UnsafePointer(queries + range.lowerBound * stride + start)
    work.query_stride = stride
    if precision != .half {
      let scales = (keys + keyBytes + valueBytes).assumingMemoryBound(to: UInt16.self)
      work.key_scales = scales
      work.value_scales = scales + positions * Self.blocks
      let block = (range.lowerBound * Self.heads + head * Self.shared) * Self.blocks
      work.query_codes = UnsafePointer(queryCodes + 32 * block)
      work.query_scales = UnsafePointer(queryScales + block)
      work.query_sums = UnsafePointer(querySums + block)
      work.query_blocks = Self.heads * Self.blocks
    }
    work.states = scratch + head * Self.scratchFloats
    work.scratch = work.states + Self.scratchFloats / 2
    let last = work.first_visible + range.count - 2
    let pieces = last / Int(EMBER_ATTENTION_PIECE) + 1
    switch precision {
    case .half: kernels.table.attend(&work, 0, pieces)
    case .int8: kernels.table.attend_q8(&work, 0, pieces)
    case .int8KeysInt4Values: kernels.table.attend_q8q4(&work, 0, pieces)
    case .int4: kernels.table.attend_q4(&work, 0, pieces)
    }
    for (i, token) in range.enumerated() {
      for query in 0..<Self.shared {
        kernels.table.join_attention(
          work.states + (i * Self.shared + query) * (Self.dimension + 16), 1, 0, Self.dimension,
          Self.dimension, output + token * stride + start + query * Self.dimension)
      }
    }
  }
}
