/// The exit status of the `ember` command: the one table that says which failure is which number.
///
/// The numbers are those of BSD's `sysexits.h` where it has one, so that scripts can tell a wrong
/// option from a damaged file from a full disk.
///
/// ```swift
/// do {
///   _ = try LoadedModel(opening: path)
/// } catch {
///   exit(ExitStatus(for: error).rawValue)
/// }
/// ```
public enum ExitStatus: Int32, Sendable, CaseIterable {
  case success = 0
  /// A wrong command line: an unknown option, or a value outside its range.
  case usage = 64
  /// The input is damaged, contradicts itself, or does not fit the model.
  case invalidData = 65
  /// The input is not there, is of the wrong kind (a folder), or cannot be read.
  case inputMissing = 66
  /// The input is of a kind, version or architecture that this version does not know.
  case unsupported = 69
  /// A defect of Ember.
  case internalError = 70
  /// The output cannot be created.
  case cannotCreate = 73
  /// Reading or writing failed on the way: a full disk, a limit on the size of files, a broken
  /// device, a model file that shrank while it was in use.
  case inputOutput = 74
  /// Not enough memory.
  case outOfMemory = 75
  /// Stopped because the terminal was closed (SIGHUP).
  case hungUp = 129
  /// Stopped by Ctrl-C: 128 and the number of the signal, as shells report it.
  case interrupted = 130
  /// Stopped by SIGTERM.
  case terminated = 143

  /// The status for an error of any of Ember's modules, `internalError` for others.
  public init(for error: any Error) {
    self =
      switch error {
      case let error as any ExitStatusProviding: error.exitStatus
      case let error as FormatError: Self(error)
      case let error as CheckpointError: Self(error.category)
      case let error as TokenizerError: Self(error)
      case let error as ModelError: Self(error)
      case let error as SessionFileError: Self(error)
      case let error as QuantizerError: Self(error)
      case let error as CalibrationError: Self(error)
      case let error as ExportError: Self(error)
      case is ErrorFeedbackError: .invalidData
      case let error as GenerationError: Self(error)
      case let error as EvaluationError: Self(error)
      case is CancellationError: .interrupted
      default: .internalError
      }
  }

  /// What the number means, for a table of them.
  public var meaning: String {
    switch self {
    case .success: "success"
    case .usage: "wrong command line: unknown option, or a value outside its range"
    case .invalidData: "input damaged, contradictory, or not fitting the model"
    case .inputMissing: "input missing, of the wrong kind (a folder), or unreadable"
    case .unsupported: "input of a kind, version or architecture that this version does not know"
    case .internalError: "a defect of Ember"
    case .cannotCreate: "output cannot be created"
    case .inputOutput: "reading or writing failed on the way (disk full, model file changed)"
    case .outOfMemory: "not enough memory"
    case .hungUp: "stopped by SIGHUP"
    case .interrupted: "stopped by Ctrl-C"
    case .terminated: "stopped by SIGTERM"
    }
  }
}

/// An error beyond those of Ember's modules that knows its exit status.
public protocol ExitStatusProviding: Error {
  var exitStatus: ExitStatus { get }
}

extension LoadingError: ExitStatusProviding {
  public var exitStatus: ExitStatus {
    switch self {
    case .tokenizer(_, let error): ExitStatus(for: error)
    case .vocabularyMismatch: .invalidData
    }
  }
}

extension ExitStatus {
  private init(_ error: FormatError) {
    self =
      switch error.category {
      case .notFound, .isDirectory, .unreadable: .inputMissing
      case .notModelFile, .damaged, .invalidContent: .invalidData
      case .unsupported: .unsupported
      case .cannotWrite: .cannotCreate
      case .diskFull: .inputOutput
      }
    // The device failed, not the name or the rights.
    if case .cannotWrite(_, _, .ioError) = error { self = .inputOutput }
  }

  private init(_ category: CheckpointError.Category) {
    self =
      switch category {
      case .notFound, .unreadable: .inputMissing
      case .damaged, .invalidWeights: .invalidData
      case .unsupported: .unsupported
      }
  }

  private init(_ error: TokenizerError) {
    self =
      switch error {
      case .unreadable: .inputMissing
      case .unsupported, .unsupportedVersion, .notExpressible: .unsupported
      case .fileTooLarge, .invalidVocabularySize, .truncatedVocabulary, .trailingBytes,
        .invalidTokenLength, .tooManyMerges, .invalidJSON, .invalidField, .duplicateId,
        .conflictingPiece, .idOutOfRange, .mergeTokenMissing, .specialIdOutOfRange,
        .hashCollisions, .notATokenizer, .invalidForm, .selfCheckFailed:
        .invalidData
      }
  }

  private init(_ error: ModelError) {
    self =
      switch error {
      case .invalidMetadata, .missingTensor, .wrongTensor, .contextFull, .noTokens,
        .noSource, .noEncoder, .sourceTooLong:
        .invalidData
      case .contextTooLong, .unknownToken, .stepTooLong, .invalidSequence: .usage
      case .outOfMemory, .budgetTooSmall: .outOfMemory
      case .reading: .inputOutput
      }
  }

  private init(_ error: SessionFileError) {
    self =
      switch error {
      case .notSessionFile, .truncated, .damaged, .otherModel, .otherCache: .invalidData
      case .unsupportedVersion: .unsupported
      case .cannotCompress: .outOfMemory
      case .file(let error): Self(error)
      }
  }

  private init(_ error: QuantizerError) {
    self =
      switch error {
      case .invalidOption: .usage
      case .tokenizerMissing: .inputMissing
      case .vocabularyMismatch, .weightTooLarge: .invalidData
      case .outputIsInput: .cannotCreate
      case .cancelled: .interrupted
      case .modelTooLarge, .budgetTooSmall: .outOfMemory
      }
  }

  private init(_ error: ExportError) {
    self =
      switch error {
      case .unknownArchitecture, .unsupportedFeature, .noPlace: .unsupported
      case .unsupportedType: .usage
      case .weightTooLarge: .invalidData
      case .outputIsInput, .folderNotEmpty: .cannotCreate
      case .budgetTooSmall: .outOfMemory
      case .cancelled: .interrupted
      }
  }

  private init(_ error: CalibrationError) {
    self =
      switch error {
      case .invalidOption: .usage
      case .emptyText, .notFinite, .notStatistics, .truncated, .damaged, .differentModels,
        .differentDetail, .invalidContent:
        .invalidData
      case .tooLarge: .outOfMemory
      case .temporaryFile: .inputOutput
      case .cancelled: .interrupted
      case .file(let error): Self(error)
      case .unsupportedVersion, .hasEncoder: .unsupported
      }
  }

  private init(_ error: GenerationError) {
    self =
      switch error {
      case .invalidOption, .needsDecoder: .usage
      case .promptTooLong, .notFinite, .noTokenPossible, .invalidGrammar, .grammarTooComplex,
        .draftTokenizerDiffers, .draftVocabularyDiffers:
        .invalidData
      case .unsupportedSchema: .unsupported
      }
  }

  private init(_ error: EvaluationError) {
    self =
      switch error {
      case .invalidProtocol, .noBeginOfSequence, .noModels, .invalidBenchmark: .usage
      case .outOfMemory: .outOfMemory
      case .outOfDisk: .inputOutput
      case .textTooShort, .noPairs, .notFinite, .perplexityOverflow, .vocabulariesDiffer,
        .tokenizersDiffer, .invalidQuestion, .noQuestions:
        .invalidData
      }
  }
}
