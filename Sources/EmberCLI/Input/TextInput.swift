import Ember
import Foundation
import SystemPackage

/// Text from a file or from standard input, checked to be UTF-8.
enum TextInput {
  /// A text is held in memory whole; this is some hundred books.
  static let byteLimit = 64 << 20

  /// - Parameter path: `-` is standard input.
  /// - Throws: `CommandError`
  static func fileOrStandardInput(_ path: FilePath) throws -> String {
    try path == "-" ? standardInput() : file(path)
  }

  /// - Throws: `CommandError`
  static func file(_ path: FilePath) throws -> String {
    let descriptor: FileDescriptor
    do {
      descriptor = try FileDescriptor.open(path, .readOnly)
    } catch Errno.noSuchFileOrDirectory {
      throw CommandError.textNotFound(path)
    } catch let error as Errno {
      throw CommandError.textUnreadable(name: path.string, operation: "open", error)
    }
    return try descriptor.closeAfter { try text(from: descriptor, name: path.string) }
  }

  /// - Throws: `CommandError`
  static func standardInput() throws -> String {
    if isatty(FileDescriptor.standardInput.rawValue) != 0 {
      StandardError.write("reading the text from standard input; end it with Ctrl-D\n")
    }
    return try text(from: .standardInput, name: "standard input")
  }

  private static func text(from descriptor: FileDescriptor, name: String) throws -> String {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count: Int
      do {
        // One byte more than allowed is enough to know.
        let wanted = min(chunk.count, byteLimit + 1 - bytes.count)
        count = try chunk.withUnsafeMutableBytes {
          try descriptor.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[..<wanted]))
        }
      } catch Errno.isDirectory {
        throw CommandError.textIsFolder(FilePath(name))
      } catch let error as Errno {
        throw CommandError.textUnreadable(name: name, operation: "read", error)
      }
      if count == 0 { break }
      guard bytes.count + count <= byteLimit else {
        throw CommandError.textTooLarge(name: name, limit: byteLimit)
      }
      bytes += chunk[..<count]
    }
    if let offset = invalidOffset(bytes) {
      throw CommandError.textNotUTF8(name: name, offset: offset, byte: bytes[offset])
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Where the first sequence begins that is not UTF-8, or nil.
  static func invalidOffset(_ bytes: [UInt8]) -> Int? {
    // The library's check is much faster than this walk.
    if String(validating: bytes, as: UTF8.self) != nil { return nil }
    var parser = Unicode.UTF8.ForwardParser()
    var iterator = bytes.makeIterator()
    var offset = 0
    while true {
      switch parser.parseScalar(from: &iterator) {
      case .valid(let encoded): offset += encoded.count
      case .error, .emptyInput: return min(offset, bytes.count - 1)
      }
    }
  }
}

extension String {
  /// A prompt from a file or a pipe ends with the newline that editors and `echo` add; it is
  /// rarely meant, and it changes what the model says.
  func droppingFinalNewline() -> String {
    guard unicodeScalars.last == "\n" else { return self }
    var scalars = unicodeScalars
    scalars.removeLast()
    if scalars.last == "\r" { scalars.removeLast() }
    return String(scalars)
  }
}
