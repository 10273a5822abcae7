import EmberKernels
public import SystemPackage

/// What collecting statistics is asked for.
public struct CalibrationOptions: Sendable {
  public var detail: SecondMoments.Detail
  /// The text is cut behind so many tokens.
  public var maximumTokens: Int
  /// Tokens per window; by default 512, or the model's context where that is shorter.
  public var windowLength: Int?
  /// Whether every window begins with the beginning-of-sequence token, if there is one.
  public var addsBeginOfSequence: Bool
  /// The tokenizer's file, where it is not beside the checkpoint.
  public var tokenizer: FilePath?
  /// Workers; by default the physical cores. The result does not depend on it.
  public var threads: Int?
  /// Whether the inputs are those of the model with its emergent columns levelled, as they are when
  /// it is quantized.
  public var foldsEmergentColumns = true
  package var kernels: Kernels = .best
  /// Hidden states of more bytes than this lie in a file.
  package var statesInMemory = 64 << 20
  /// Bytes that the moments may take; nil for what is available.
  package var memoryLimit: Int?

  public init(
    detail: SecondMoments.Detail = .full, maximumTokens: Int = 65_536, windowLength: Int? = nil,
    addsBeginOfSequence: Bool = false, tokenizer: FilePath? = nil, threads: Int? = nil
  ) {
    self.detail = detail
    self.maximumTokens = maximumTokens
    self.windowLength = windowLength
    self.addsBeginOfSequence = addsBeginOfSequence
    self.tokenizer = tokenizer
    self.threads = threads
  }
}

/// How far collecting is.
public struct CalibrationProgress: Sendable, Equatable {
  /// Tokens through a layer, of how many: all tokens go through the embedding and every layer.
  public var done: Int
  public var total: Int
  /// What is being computed: `embedding`, `layer 3 of 22`.
  public var stage: String
}

/// What collecting did.
public struct CalibrationSummary: Sendable {
  public let text: CalibrationText
  public let windowCount: Int
  public let seconds: Double
  public let warnings: [String]
}
