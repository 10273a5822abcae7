import EmberGeneration
import EmberKernels
import EmberModel

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
    for type in [MatrixType.q4, .q4n, .q5, .q6, .q8, .f16] {
      works.append(
        MatrixWork(type, (4096, 4096), tokens: 1, perRun: 4, fromCache: false, memory))
      works.append(MatrixWork(type, (1024, 2048), tokens: 1, perRun: 1, fromCache: true, memory))
      for tokens in [16, 128] {
        works.append(
          MatrixWork(type, (1024, 2048), tokens: tokens, perRun: 1, fromCache: true, memory))
      }
    }
    let apart = OutlierMatrix(.q4n, (1024, 2048), copying: memory)
    for tokens in [1, 16, 128] {
      works.append(
        MatrixWork(
          .q4n, (1024, 2048), tokens: tokens, perRun: 1, fromCache: true,
          outlierSteps: OutlierMatrix.steps(columns: 2048), apart.bytes, keeping: apart))
    }
    for precision in CachePrecision.allCases {
      works.append(AttentionWork(decodingAt: 4096, precision, memory))
      works.append(AttentionWork(promptTokens: 256, precision, memory))
    }
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
  private let owner: AnyObject?
  private let inputs: Activations
  /// [tokens][rows]
  private let output: UnsafeMutablePointer<Float>
  private let rows: Int
  private var cursor = 0

  /// - Parameter owner: kept alive, as what gives back `memory`.
  init(
    _ type: MatrixType, _ size: (rows: Int, columns: Int), tokens: Int, perRun: Int,
    fromCache: Bool, outlierSteps: Int = 0, _ memory: UnsafeRawBufferPointer,
    keeping owner: AnyObject? = nil
  ) {
    let (rows, columns) = size
    self.rows = rows
    self.perRun = perRun
    self.owner = owner
    name =
      (tokens == 1 ? "mat-vec" : "mat-mul") + " \(type) \(rows)×\(columns)"
      + (outlierSteps == 0 ? "" : ", 0.5 % outliers") + (tokens == 1 ? "" : ", \(tokens) tokens")
    place = fromCache ? .cache : .memory
    arithmetic = type == .f16 ? .f32 : .int8
    // Row scales, tiles of 16 × 64 weights and outliers: a multiple of 64 bytes, so all are aligned.
    let matrixBytes =
      rows / 16 * (type.rowScaleBytes + columns / 64 * type.tileBytes + outlierSteps * 64)
    bytes = matrixBytes * perRun
    operations = 2 * rows * columns * tokens * perRun
    let count = fromCache ? 1 : memory.count / matrixBytes
    matrices =
      memory.baseAddress.map { base in
        (0..<count).map {
          // In bounds: count matrices of this size fit.
          Matrix(
            type: type, rows: rows, columns: columns, outlierSteps: outlierSteps,
            data: base + $0 * matrixBytes)
        }
      } ?? []
    inputs = Activations(tokens: tokens, columns: columns, transposes: outlierSteps > 0)
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
