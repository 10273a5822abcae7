public import EmberModel
public import SystemPackage

/// What a conversion is asked for.
public struct QuantizationOptions: Sendable {
  /// 4, 5, 6 or 8 for blocks of integers, 16 for halves.
  public var bits: Int
  /// The same for the embedding table and the output head; by default 6 where `bits` is 4 or 5,
  /// else `bits`. These tables are read by rows or decide the last step, and lose more from coarse
  /// weights than their share of the file. Learned positions have 8 bits or more.
  public var tableBits: Int?
  /// Bits per weight of the whole file, everything in it counted. Types are then chosen tensor by
  /// tensor from measured sensitivity, `tensorTypes` apart; `bits` and `tableBits` do not matter.
  public var targetBits: Double?
  public var outliers: OutlierBudget
  /// Whether columns of emergent size are levelled before they are quantized; at 16 bits, those of
  /// the values that the key/value cache may keep in blocks.
  public var foldsEmergentColumns = true
  public var recipe: Recipe
  public var calibration: CalibrationSource
  /// Where to keep the statistics of the calibration, for the next conversion.
  public var statisticsOutput: FilePath?
  /// Types of single tensors; where several rules fit, the last.
  public var tensorTypes: [TensorTypeRule]
  /// The tokenizer's file, where it is not beside the checkpoint.
  public var tokenizer: FilePath?
  /// Workers; by default the physical cores.
  public var threads: Int?
  /// What the process may have at most; it decides whether a conversion begins, and never what it
  /// writes.
  public var memory: MemoryBudget = .automatic
  /// Begins even where the budget is too small.
  public var isForced = false

  public init(
    bits: Int = 4, tableBits: Int? = nil, targetBits: Double? = nil,
    outliers: OutlierBudget = .automatic, recipe: Recipe = .balanced,
    calibration: CalibrationSource = .automatic,
    statisticsOutput: FilePath? = nil, tensorTypes: [TensorTypeRule] = [],
    tokenizer: FilePath? = nil, threads: Int? = nil
  ) {
    self.bits = bits
    self.tableBits = tableBits
    self.targetBits = targetBits
    self.outliers = outliers
    self.recipe = recipe
    self.calibration = calibration
    self.statisticsOutput = statisticsOutput
    self.tensorTypes = tensorTypes
    self.tokenizer = tokenizer
    self.threads = threads
  }

  /// Whether any matrix is in blocks, beside which weights can stay in fp16.
  var usesBlocks: Bool { bits != 16 || resolvedTableBits != 16 }

  var resolvedTableBits: Int { tableBits ?? (bits == 4 || bits == 5 ? 6 : bits) }
}

/// How many weights stay in fp16 beside their blocks.
public enum OutlierBudget: Sendable, Equatable, CustomStringConvertible {
  /// As many per matrix as gain more than the same bytes would as finer weights.
  case automatic
  /// This share of every row of the matrices in blocks, in percent, to the nearest whole weight
  /// and at least one; 0 for none.
  case percent(Double)

  public var description: String {
    switch self {
    case .automatic: "auto"
    case .percent(let share): share == share.rounded() ? "\(Int(share))" : "\(share)"
    }
  }
}
