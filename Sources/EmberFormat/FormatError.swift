public import SystemPackage

/// Everything that can go wrong with a model file, one case per cause.
///
/// `description` is one line: what, where, expected, found, what to do. `category` groups the
/// cases for an exit code.
public enum FormatError: Error, Sendable, Equatable {
  /// Nothing is at the path.
  case notFound(FilePath)
  /// The path is a folder.
  case isDirectory(FilePath)
  /// The path is a device, a pipe or a socket.
  case notRegularFile(FilePath)
  /// A system call failed while reading.
  case unreadable(FilePath, operation: String, Errno)
  /// The magic is not a model file's; `found` says what it looks like and what to do about it.
  case notModelFile(FilePath, found: String)
  /// The file is no packed model; `found` says what it looks like and what to do about it.
  case notPackedFile(FilePath, found: String)
  /// The file ends early. `expected` is its full size, or the least that it could be.
  case truncated(FilePath, expected: Int, found: Int)
  /// A value contradicts the specification, the rest of the file or its checksum.
  case damaged(FilePath, place: String, expected: String, found: String)
  /// A version that this reader does not know.
  case unsupportedVersion(FilePath, found: UInt32)
  /// Required features that this reader does not know, one bit each.
  case unsupportedFeatures(FilePath, bits: UInt64)
  /// One of several files; version 1 is always one.
  case unsupportedParts(FilePath, index: UInt32, count: UInt32)
  /// A block type that this reader does not know.
  case unsupportedBlockType(FilePath, tensor: String, found: UInt32)
  /// A shape that no tensor can have.
  case invalidLayout(String)
  /// The writer was given something that the format cannot hold, or calls out of order.
  case invalidContent(FilePath, String)
  /// A system call failed while writing; the target is as it was.
  case cannotWrite(FilePath, operation: String, Errno)
  /// No room, no quota or a limit on the size of files; the target is as it was.
  case diskFull(FilePath, Errno)

  /// What kind of failure it is, for exit codes.
  public enum Category: Sendable {
    /// The input is not there, is a folder or cannot be read.
    case notFound, isDirectory, unreadable
    /// The input is no model file, or a broken one.
    case notModelFile, damaged
    /// The input is of a kind that this version does not know.
    case unsupported
    /// The caller asked for what the format cannot hold.
    case invalidContent
    /// The output cannot be written, or not wholly.
    case cannotWrite, diskFull
  }

  public var category: Category {
    switch self {
    case .notFound: .notFound
    case .isDirectory: .isDirectory
    case .notRegularFile, .unreadable: .unreadable
    case .notModelFile, .notPackedFile: .notModelFile
    case .truncated, .damaged: .damaged
    case .unsupportedVersion, .unsupportedFeatures, .unsupportedParts, .unsupportedBlockType:
      .unsupported
    case .invalidLayout, .invalidContent: .invalidContent
    case .cannotWrite: .cannotWrite
    case .diskFull: .diskFull
    }
  }
}

extension FormatError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .notFound(let path):
      "\(oneLine(path)): no such file"
    case .isDirectory(let path):
      "\(oneLine(path)): is a folder, expected a file"
    case .notRegularFile(let path):
      "\(oneLine(path)): is a device, pipe or socket, expected a regular file"
    case .unreadable(let path, let operation, let errno):
      "\(oneLine(path)): cannot \(operation): \(errno)"
    case .notModelFile(let path, let found):
      "\(oneLine(path)): not an Ember model file: found \(found)"
    case .notPackedFile(let path, let found):
      "\(oneLine(path)): not a packed model: found \(found)"
    case .truncated(let path, let expected, let found):
      "\(oneLine(path)): truncated: \(expected - found) bytes are missing, expected \(expected),"
        + " found \(found); download or convert it again"
    case .damaged(let path, let place, let expected, let found):
      "\(oneLine(path)): damaged: \(place): expected \(expected), found \(found);"
        + " download or convert it again"
    case .unsupportedVersion(let path, let found):
      "\(oneLine(path)): file version \(found), this Ember reads version"
        + " \(FileHeader.supportedVersion); update Ember or convert the checkpoint again"
    case .unsupportedFeatures(let path, let bits):
      "\(oneLine(path)): requires features \(bitNumbers(bits)), this Ember knows none;"
        + " update Ember"
    case .unsupportedParts(let path, let index, let count):
      "\(oneLine(path)): is part \(index) of \(count), this Ember reads models of 1 part"
        + " (index 0)"
    case .unsupportedBlockType(let path, let tensor, let found):
      "\(oneLine(path)): tensor '\(tensor)': block type \(found), this Ember knows"
        + " \(BlockType.allCases.map { "\($0.rawValue) (\($0.name))" }.joined(separator: ", "));"
        + " update Ember"
    case .invalidLayout(let reason):
      "impossible tensor layout: \(reason)"
    case .invalidContent(let path, let reason):
      "\(oneLine(path)): cannot be written: \(reason)"
    case .cannotWrite(let path, let operation, let errno):
      "\(oneLine(path)): cannot \(operation): \(errno)"
    case .diskFull(let path, let errno):
      "\(oneLine(path)): cannot write: \(errno); free some space or choose another folder"
        + " (an earlier file of this name is unharmed)"
    }
  }

  /// The path as one printable line: names of files come from strangers too.
  private func oneLine(_ path: FilePath) -> String {
    let line = OneLine.escape(path.string)
    return line.isEmpty ? "''" : line
  }

  private func bitNumbers(_ bits: UInt64) -> String {
    let numbers = (0..<64).filter { bits & (1 << UInt64($0)) != 0 }
    return "of bit " + numbers.map(String.init).joined(separator: ", ")
  }
}

/// A checksum or magic as errors show it.
package func hexadecimal(_ value: UInt32) -> String {
  let digits = String(value, radix: 16)
  return "0x" + String(repeating: "0", count: 8 - digits.count) + digits
}
