import CKernels
import EmberGeneration
import EmberKernels

/// What one measurement of a kernel computes, again and again.
protocol KernelWork: AnyObject {
  /// Such as `mat-vec q4 4096×4096`.
  var name: String { get }
  var place: KernelOperands { get }
  /// Read by one run.
  var bytes: Int { get }
  /// Multiplications and additions of one run; 0 where they are not what counts.
  var operations: Int { get }
  /// What it computes with.
  var arithmetic: ArithmeticPeak.Kind { get }
  /// Whether it is divided among threads.
  var isThreaded: Bool { get }
  func run(_ team: ThreadTeam, _ kernels: Kernels)
}

/// Where most operands of a kernel come from.
package enum KernelOperands: String, Sendable {
  case memory, cache
}

enum KernelWorks {
  /// The most phases of a step of any work.
  static let phases = 32

  /// All works that fit in `memory`, which is valid as weights of every type (`RandomWeights.fill`)
  /// and outlives them.
  static func all(over memory: UnsafeRawBufferPointer) -> [any KernelWork] {
    var works: [any KernelWork] = []
    for type in [MatrixType.q4, .q8, .f16] {
      works.append(
        MatrixWork(type, (4096, 4096), tokens: 1, perRun: 4, fromCache: false, memory))
      works.append(MatrixWork(type, (1024, 2048), tokens: 1, perRun: 1, fromCache: true, memory))
      for tokens in [16, 128] {
        works.append(
          MatrixWork(type, (1024, 2048), tokens: tokens, perRun: 1, fromCache: true, memory))
      }
    }
    works.append(AttentionWork(decodingAt: 4096, memory))
    works.append(AttentionWork(promptTokens: 256, memory))
    for operation in ElementWork.Operation.allCases { works.append(ElementWork(operation)) }
    return works.filter { $0.bytes <= memory.count }
  }
}

/// Products of matrices with one token or many.
private final class MatrixWork: KernelWork, @unchecked Sendable {
  // Sendable because the pieces of a phase write different rows of the output, and `cursor` changes
  // between steps only.
  let name: String
  let place: KernelOperands
  let bytes: Int
  let operations: Int
  let arithmetic: ArithmeticPeak.Kind
  let isThreaded = true
  /// All that fit in the memory, or one that stays in the cache.
  private let matrices: [Matrix]
  private let perRun: Int
  private let inputs: Activations
  /// [tokens][rows]
  private let output: UnsafeMutablePointer<Float>
  private let rows: Int
  private var cursor = 0

  init(
    _ type: MatrixType, _ size: (rows: Int, columns: Int), tokens: Int, perRun: Int,
    fromCache: Bool, _ memory: UnsafeRawBufferPointer
  ) {
    let (rows, columns) = size
    self.rows = rows
    self.perRun = perRun
    name =
      tokens == 1
      ? "mat-vec \(type) \(rows)×\(columns)"
      : "mat-mul \(type) \(rows)×\(columns), \(tokens) tokens"
    place = fromCache ? .cache : .memory
    arithmetic = type == .f16 ? .f32 : .int8
    // Tiles of 16 × 64 weights, without outliers: a multiple of 64 bytes, so all are aligned.
    let matrixBytes = rows / 16 * (columns / 64) * type.tileBytes
    bytes = matrixBytes * perRun
    operations = 2 * rows * columns * tokens * perRun
    let count = fromCache ? 1 : memory.count / matrixBytes
    matrices =
      memory.baseAddress.map { base in
        (0..<count).map {
          // In bounds: count matrices of this size fit.
          Matrix(
            type: type, rows: rows, columns: columns, outlierSteps: 0, data: base + $0 * matrixBytes
          )
        }
      } ?? []
    inputs = Activations(tokens: tokens, columns: columns)
    inputs.tokens = tokens
    var random = SplitMix64(seed: 3)
    for token in 0..<tokens {
      for i in 0..<columns { inputs.vector(token)[i] = Float(random.nextUnit()) - 0.5 }
    }
    for tile in 0..<inputs.tileCount { inputs.quantize(tile: tile, kernels: .best) }
    output = .aligned(tokens * rows)
    output.initialize(repeating: 0, count: tokens * rows)
  }

  deinit { output.deallocate() }

  func run(_ team: ThreadTeam, _ kernels: Kernels) {
    team.step { worker in
      for i in 0..<perRun {
        let matrix = matrices[(cursor + i) % matrices.count]
        worker.phase(dividing: matrix.rowGroups) { groups in
          matrix.multiply(inputs, groups: groups, output: output, stride: rows, kernels: kernels)
        }
      }
    }
    cursor += perRun
  }
}

/// Attention with 32 heads of 64 dimensions that share 4 key/value heads, as in TinyLlama: of one
/// new token behind many, one layer after another, or of a whole prompt in one layer.
private final class AttentionWork: KernelWork, @unchecked Sendable {
  // Sendable because each piece of a phase writes the output and the scratch of its own heads.
  let name: String
  let place: KernelOperands
  let bytes: Int
  let operations: Int
  let arithmetic = ArithmeticPeak.Kind.f32
  let isThreaded = true

  private static let keyValueHeads = 4
  private static let shared = 8
  private static let dimension = 64
  private static var heads: Int { keyValueHeads * shared }

  private let memory: UnsafeRawPointer?
  private let layers: Int
  /// In the cache, the new ones included.
  private let positions: Int
  /// New ones: 1, or a multiple of 16.
  private let tokens: Int
  /// [tokens][heads][dimension]
  private let queries: UnsafeMutablePointer<Float>
  /// [tokens][heads][dimension]
  private let output: UnsafeMutablePointer<Float>
  /// [key/value heads][states and scratch][16 · shared][dimension + 16]
  private let scratch: UnsafeMutablePointer<Float>

  private static let scratchFloats = 2 * 16 * shared * (dimension + 16)

  /// - Parameter positions: a multiple of the kernels' chunk, so that none is read half.
  convenience init(decodingAt positions: Int, _ memory: UnsafeRawBufferPointer) {
    self.init(layers: 16, positions: positions, tokens: 1, memory)
  }

  /// - Parameter tokens: a multiple of 16.
  convenience init(promptTokens tokens: Int, _ memory: UnsafeRawBufferPointer) {
    self.init(layers: 1, positions: tokens, tokens: tokens, memory)
  }

  private init(layers: Int, positions: Int, tokens: Int, _ memory: UnsafeRawBufferPointer) {
    self.layers = layers
    self.positions = positions
    self.tokens = tokens
    self.memory = memory.baseAddress
    let (heads, dimension) = (Self.heads, Self.dimension)
    let isDecode = tokens == 1
    name =
      (isDecode ? "attention, 1 token at \(positions)" : "attention, prompt of \(tokens)")
      + ", \(heads)/\(Self.keyValueHeads) heads"
    place = isDecode ? .memory : .cache
    bytes = layers * Self.keyValueHeads * positions * dimension * 4
    // Every token sees those before it and itself; keys and values, a multiplication and an
    // addition each.
    let seen = isDecode ? positions : tokens * (tokens + 1) / 2
    operations = layers * heads * seen * dimension * 4
    queries = .aligned(tokens * heads * dimension)
    output = .aligned(tokens * heads * dimension)
    scratch = .aligned(Self.keyValueHeads * Self.scratchFloats)
    var random = SplitMix64(seed: 4)
    for i in 0..<tokens * heads * dimension { queries[i] = Float(random.nextUnit()) - 0.5 }
    output.initialize(repeating: 0, count: tokens * heads * dimension)
    scratch.initialize(repeating: 0, count: Self.keyValueHeads * Self.scratchFloats)
  }

  deinit {
    queries.deallocate()
    output.deallocate()
    scratch.deallocate()
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
    // In bounds: `bytes` is layers · heads times these two, and works larger than the memory are
    // left out.
    let half = positions * Self.dimension * 2
    let keys = memory + (layer * Self.keyValueHeads + head) * 2 * half
    let (stride, start) = (Self.heads * Self.dimension, head * Self.shared * Self.dimension)
    var work = ember_attention()
    work.tokens = range.count
    work.heads = Self.shared
    work.first_visible = positions - tokens + range.lowerBound + 1
    work.dimension = Self.dimension
    work.padded_dimension = Self.dimension
    work.keys = keys
    work.values = keys + half
    work.queries = UnsafePointer(queries + range.lowerBound * stride + start)
    work.query_stride = stride
    work.states = scratch + head * Self.scratchFloats
    work.scratch = work.states + Self.scratchFloats / 2
    let last = work.first_visible + range.count - 2
    kernels.table.attend(&work, 0, last / Int(EMBER_ATTENTION_PIECE) + 1)
    for (i, token) in range.enumerated() {
      for query in 0..<Self.shared {
        kernels.table.join_attention(
          work.states + (i * Self.shared + query) * (Self.dimension + 16), 1, 0, Self.dimension,
          Self.dimension, output + token * stride + start + query * Self.dimension)
      }
    }
  }
}
