import CKernels
import EmberGeneration
import EmberKernels

/// What one measurement of a kernel computes, again and again.
protocol KernelWork: AnyObject {
  /// Such as `mat-vec q4 4096×4096`.
  var name: String { get }
  /// `memory` or `cache`: where most operands come from.
  var place: String { get }
  /// Read by one run.
  var bytes: Int { get }
  /// Multiplications and additions of one run; 0 where they are not what counts.
  var operations: Int { get }
  /// Whether it is divided among threads.
  var isThreaded: Bool { get }
  func run(_ team: ThreadTeam, _ kernels: Kernels)
}

enum KernelWorks {
  /// The most phases of a step of any work.
  static let phases = 32

  /// All works that fit in `memory`, which is valid as weights of every type (`RandomWeights.fill`)
  /// and outlives them.
  static func all(over memory: UnsafeRawBufferPointer) -> [any KernelWork] {
    var works: [any KernelWork] = []
    for type in [MatrixType.q4, .q8, .f16] {
      works.append(MatrixWork(type, 4096, tokens: 1, perRun: 4, fromCache: false, memory))
      works.append(MatrixWork(type, 2048, tokens: 1, perRun: 1, fromCache: true, memory))
      works.append(MatrixWork(type, 2048, tokens: 128, perRun: 1, fromCache: true, memory))
    }
    works.append(AttentionWork(positions: 4096, memory))
    works.append(NormWork(width: 4096, isRootMeanSquare: true))
    works.append(NormWork(width: 4096, isRootMeanSquare: false))
    return works.filter { $0.bytes <= memory.count }
  }
}

/// Products of square matrices with one token or many.
private final class MatrixWork: KernelWork, @unchecked Sendable {
  // Sendable because the pieces of a phase write different rows of the output, and `cursor` changes
  // between steps only.
  let name: String
  let place: String
  let bytes: Int
  let operations: Int
  let isThreaded = true
  /// All that fit in the memory, or one that stays in the cache.
  private let matrices: [Matrix]
  private let perRun: Int
  private let inputs: Activations
  /// [tokens][size]
  private let output: UnsafeMutablePointer<Float>
  private let size: Int
  private var cursor = 0

  init(
    _ type: MatrixType, _ size: Int, tokens: Int, perRun: Int, fromCache: Bool,
    _ memory: UnsafeRawBufferPointer
  ) {
    self.size = size
    self.perRun = perRun
    name =
      tokens == 1
      ? "mat-vec \(type) \(size)×\(size)" : "mat-mul \(type) \(size)×\(size), \(tokens) tokens"
    place = fromCache ? "cache" : "memory"
    // Tiles of 16 × 64 weights, without outliers: a multiple of 64 bytes, so all are aligned.
    let matrixBytes = size / 16 * (size / 64) * type.tileBytes
    bytes = matrixBytes * perRun
    operations = 2 * size * size * tokens * perRun
    let count = fromCache ? 1 : memory.count / matrixBytes
    matrices =
      memory.baseAddress.map { base in
        (0..<count).map {
          // In bounds: count matrices of this size fit.
          Matrix(
            type: type, rows: size, columns: size, outlierSteps: 0, data: base + $0 * matrixBytes)
        }
      } ?? []
    inputs = Activations(tokens: tokens, columns: size)
    inputs.tokens = tokens
    var random = SplitMix64(seed: 3)
    for token in 0..<tokens {
      for i in 0..<size { inputs.vector(token)[i] = Float(random.nextUnit()) - 0.5 }
    }
    for tile in 0..<inputs.tileCount { inputs.quantize(tile: tile, kernels: .best) }
    output = .aligned(tokens * size)
    output.initialize(repeating: 0, count: tokens * size)
  }

  deinit { output.deallocate() }

  func run(_ team: ThreadTeam, _ kernels: Kernels) {
    team.step { worker in
      for i in 0..<perRun {
        let matrix = matrices[(cursor + i) % matrices.count]
        worker.phase(dividing: matrix.rowGroups) { groups in
          matrix.multiply(inputs, groups: groups, output: output, stride: size, kernels: kernels)
        }
      }
    }
    cursor += perRun
  }
}

/// Attention of one new token: 32 heads of 64 dimensions that share 4 key/value heads, as in
/// TinyLlama, one layer after another.
private final class AttentionWork: KernelWork, @unchecked Sendable {
  // Sendable because each piece of a phase writes the output of its own heads.
  let name: String
  let place = "memory"
  let bytes: Int
  let operations: Int
  let isThreaded = true

  private static let layers = 16
  private static let keyValueHeads = 4
  private static let shared = 8
  private static let dimension = 64

  private let memory: UnsafeRawPointer?
  private let positions: Int
  /// [heads][dimension]
  private let queries: UnsafeMutablePointer<Float>
  /// [heads][dimension]
  private let output: UnsafeMutablePointer<Float>
  /// [heads][2][dimension + 16]
  private let scratch: UnsafeMutablePointer<Float>

  /// - Parameter positions: a multiple of the kernels' chunk, so that none is read half.
  init(positions: Int, _ memory: UnsafeRawBufferPointer) {
    self.positions = positions
    self.memory = memory.baseAddress
    let heads = Self.keyValueHeads * Self.shared
    name = "attention, \(positions) positions, \(heads)/\(Self.keyValueHeads) heads"
    bytes = Self.layers * Self.keyValueHeads * positions * Self.dimension * 4
    operations = Self.layers * heads * positions * Self.dimension * 4
    queries = .aligned(heads * Self.dimension)
    output = .aligned(heads * Self.dimension)
    scratch = .aligned(2 * heads * (Self.dimension + 16))
    var random = SplitMix64(seed: 4)
    for i in 0..<heads * Self.dimension { queries[i] = Float(random.nextUnit()) - 0.5 }
    output.initialize(repeating: 0, count: heads * Self.dimension)
    scratch.initialize(repeating: 0, count: 2 * heads * (Self.dimension + 16))
  }

  deinit {
    queries.deallocate()
    output.deallocate()
    scratch.deallocate()
  }

  func run(_ team: ThreadTeam, _ kernels: Kernels) {
    team.step { worker in
      for layer in 0..<Self.layers {
        worker.phase(pieces: Self.keyValueHeads) { attend(layer, $0, kernels) }
      }
    }
  }

  private func attend(_ layer: Int, _ head: Int, _ kernels: Kernels) {
    guard let memory else { return }
    let (dimension, shared) = (Self.dimension, Self.shared)
    // In bounds: `bytes` is layers · heads times these two, and works larger than the memory are
    // left out.
    let half = positions * dimension * 2
    let keys = memory + (layer * Self.keyValueHeads + head) * 2 * half
    let stateFloats = shared * (dimension + 16)
    var work = ember_attention()
    work.tokens = 1
    work.heads = shared
    work.first_visible = positions
    work.dimension = dimension
    work.padded_dimension = dimension
    work.keys = keys
    work.values = keys + half
    work.queries = UnsafePointer(queries + head * shared * dimension)
    work.states = scratch + 2 * head * stateFloats
    work.scratch = scratch + (2 * head + 1) * stateFloats
    let piece = Int(EMBER_ATTENTION_PIECE)
    kernels.table.attend(&work, 0, (positions + piece - 1) / piece)
    for i in 0..<shared {
      kernels.table.join_attention(
        work.states + i * (dimension + 16), 1, 0, dimension, dimension,
        output + (head * shared + i) * dimension)
    }
  }
}

/// A norm of one vector, over and over, on one thread.
private final class NormWork: KernelWork {
  let name: String
  let place = "cache"
  let bytes: Int
  let operations = 0
  let isThreaded = false
  private let isRootMeanSquare: Bool
  private let width: Int
  /// [width] each
  private let input: UnsafeMutablePointer<Float>
  private let gain: UnsafeMutablePointer<Float>
  private let output: UnsafeMutablePointer<Float>

  init(width: Int, isRootMeanSquare: Bool) {
    self.width = width
    self.isRootMeanSquare = isRootMeanSquare
    name = "\(isRootMeanSquare ? "RMS" : "layer") norm, \(width)"
    bytes = width * 8
    input = .aligned(width)
    gain = .aligned(width)
    output = .aligned(width)
    var random = SplitMix64(seed: 5)
    for i in 0..<width { input[i] = Float(random.nextUnit()) - 0.5 }
    gain.initialize(repeating: 1, count: width)
    output.initialize(repeating: 0, count: width)
  }

  deinit {
    input.deallocate()
    gain.deallocate()
    output.deallocate()
  }

  func run(_ team: ThreadTeam, _ kernels: Kernels) {
    if isRootMeanSquare {
      kernels.table.rms_norm(input, gain, 1e-5, width, output)
    } else {
      kernels.table.layer_norm(input, gain, gain, 1e-5, width, output)
    }
  }
}
