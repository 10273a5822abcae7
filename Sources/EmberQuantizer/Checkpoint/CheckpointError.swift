import SystemPackage

/// Why a checkpoint cannot be opened or read: one case per cause.
///
/// `category` groups the causes for exit codes; `description` is one line that says what, where,
/// what was expected, what was found, and what to do.
public enum CheckpointError: Error, Sendable, Equatable {
  // MARK: Not found

  /// Nothing has this path.
  case notFound(path: FilePath)
  /// A folder without `config.json`.
  case noConfiguration(folder: FilePath)
  /// A folder with `config.json` but no weights beside it.
  case noWeights(folder: FilePath)

  // MARK: Unreadable

  /// The operating system refused an operation.
  case unreadable(path: FilePath, operation: String, errno: Errno)
  /// A folder, a pipe or a device where a file was expected.
  case notAFile(path: FilePath)

  // MARK: Damaged

  /// A file of no bytes.
  case emptyFile(path: FilePath)
  /// A file whose own header announces another size.
  case wrongSize(path: FilePath, expected: Int, found: Int)
  /// A file that ended inside what its checked header announced: it changed while it was read.
  case endedEarly(path: FilePath, offset: Int, missing: Int)
  /// A larger file than any true one of its kind, of which all would have to be in memory.
  case tooLarge(path: FilePath, limit: Int, found: Int)
  /// A header field of a llama2.c file that no model has.
  case implausibleHeader(path: FilePath, field: String, expected: String, found: Int)
  /// The header of a safetensors file is broken.
  case damagedHeader(path: FilePath, problem: String)
  /// One tensor's record in the header of a safetensors file is broken.
  case damagedRecord(path: FilePath, tensor: String, problem: String)
  /// The header of a GGUF file is broken: metadata or directory of tensors.
  case damagedGGUF(path: FilePath, problem: String)
  /// A file that PyTorch saved is broken: the archive, or what its tensors say of themselves.
  case damagedTorch(path: FilePath, problem: String)
  /// The pickle in such a file is broken; the offset is that of the instruction in the pickle.
  case damagedPickle(path: FilePath, offset: Int, problem: String)
  /// Text that is not the JSON it should be.
  case damagedJSON(path: FilePath, problem: String)
  /// The index of a sharded checkpoint names what is not there or may not be.
  case damagedIndex(path: FilePath, problem: String)
  /// `config.json` lacks a key.
  case missingKey(path: FilePath, key: String)
  /// A value in `config.json` is of the wrong type, out of range, or contradicts another.
  case invalidValue(path: FilePath, key: String, expected: String, found: String)

  // MARK: Unsupported

  /// A kind of file that Ember does not read.
  case unsupportedFormat(path: FilePath, found: String)
  /// An architecture that Ember does not know.
  case unknownArchitecture(path: FilePath, found: String, known: [String])
  /// A setting in `config.json` that changes the mathematics in a way Ember does not compute.
  case unsupportedSetting(path: FilePath, key: String, found: String, supported: String)
  /// A needed tensor is stored in an element type that Ember does not read.
  case unsupportedType(path: FilePath, tensor: String, found: String)

  /// A pickle contains what could run code in Python, or what no checkpoint of weights needs: it is
  /// read no further. The offset is that of the instruction in the pickle.
  case refusedPickle(path: FilePath, offset: Int, found: String)

  // MARK: Invalid weights

  /// A tensor that the architecture needs is not there.
  case missingTensor(path: FilePath, tensor: String)
  /// A tensor has another shape than the configuration calls for.
  case wrongShape(path: FilePath, tensor: String, expected: [Int], found: [Int])
  /// The embedding table has another number of rows than the vocabulary has tokens.
  case vocabularyMismatch(path: FilePath, tensor: String, vocabulary: Int, rows: Int)
  /// A weight is not a number or infinite; row and column are those of the canonical `tensor`.
  case notFinite(
    path: FilePath, tensor: String, storedAs: String, row: Int, column: Int, value: String)

  /// What kind of trouble it is: the command line maps it to an exit code.
  public enum Category: Sendable, Equatable, CaseIterable {
    /// Nothing there, or not what a checkpoint consists of.
    case notFound
    /// The operating system refused.
    case unreadable
    /// Truncated, corrupt or contradictory.
    case damaged
    /// Well-formed, but outside of what Ember reads.
    case unsupported
    /// The weights do not fit the configuration, or are not numbers.
    case invalidWeights
  }

  /// The group of the cause.
  public var category: Category {
    switch self {
    case .notFound, .noConfiguration, .noWeights: .notFound
    case .unreadable, .notAFile: .unreadable
    case .emptyFile, .wrongSize, .endedEarly, .tooLarge, .implausibleHeader, .damagedHeader,
      .damagedRecord, .damagedGGUF, .damagedTorch, .damagedPickle, .damagedJSON, .damagedIndex,
      .missingKey, .invalidValue:
      .damaged
    case .unsupportedFormat, .unknownArchitecture, .unsupportedSetting, .unsupportedType,
      .refusedPickle:
      .unsupported
    case .missingTensor, .wrongShape, .vocabularyMismatch, .notFinite: .invalidWeights
    }
  }
}
