public import EmberModel

/// A format of another program.
public enum ExportFormat: String, Sendable, CaseIterable {
  /// A Hugging Face folder: `config.json`, `model.safetensors`, `tokenizer.json`.
  case safetensors
  /// One file, as llama.cpp reads it.
  case gguf
}

/// How the matrices are stored; vectors are in single precision always.
public enum ExportType: String, Sendable, CaseIterable {
  /// IEEE 754 binary16.
  case f16
  /// GGUF's blocks of 32 signed bytes under a binary16 scale.
  case q8x0 = "q8_0"
}

/// What an export is asked for.
public struct ExportOptions: Sendable {
  public var format: ExportFormat
  public var type: ExportType
  /// What the process may have at most; it decides whether an export begins.
  public var memory: MemoryBudget = .automatic
  /// Begins even where the budget is too small, and replaces the model in a folder that has one.
  public var isForced = false
  /// Weights of one safetensors file; more go into several, with an index.
  package var shardBytes = 5_000_000_000

  public init(format: ExportFormat, type: ExportType = .f16) {
    self.format = format
    self.type = type
  }
}

/// What an export wrote.
public struct ExportSummary: Sendable {
  /// Their names, in the order of writing.
  public var files: [String] = []
  /// Of all files.
  public var byteCount = 0
  public var tensorCount = 0
  public var weightCount = 0
  /// The name of the architecture in the format.
  public var architecture = ""
  /// Whether weights were in blocks, so that quantizing has lost something already.
  public var isQuantized = false
  public var seconds = 0.0
  public var warnings: [String] = []
}

/// How far an export is.
public struct ExportProgress: Sendable {
  /// Weights done, of how many.
  public var done: Int
  public var total: Int
  /// The tensor being written, by its name in the format.
  public var tensor: String
}
