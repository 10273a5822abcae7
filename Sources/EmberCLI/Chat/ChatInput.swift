import Ember
import Foundation
import SystemPackage

/// Where the user's lines come from.
protocol ChatInput {
  /// The next line without its end, or nil at the end.
  mutating func nextLine() throws -> String?
  /// Lines that can be called back.
  mutating func remember(_ line: String)
}

/// Lines of a pipe or a file: one for each turn.
struct PipedInput: ChatInput {
  private var bytes: [UInt8] = []
  private var start = 0
  private var hasEnded = false
  private var offset = 0

  mutating func remember(_ line: String) {}

  mutating func nextLine() throws -> String? {
    var searched = start
    while true {
      if let end = bytes[searched...].firstIndex(of: UInt8(ascii: "\n")) {
        return try take(end, skipping: 1)
      }
      if hasEnded { return start < bytes.count ? try take(bytes.count, skipping: 0) : nil }
      searched = bytes.count
      try read()
      searched = max(start, min(searched, bytes.count))
    }
  }

  private mutating func take(_ end: Int, skipping: Int) throws -> String {
    var line = bytes[start..<end]
    if line.last == UInt8(ascii: "\r") { line.removeLast() }
    if let bad = TextInput.invalidOffset(Array(line)) {
      throw CommandError.textNotUTF8(
        name: "standard input", offset: offset + start + bad, byte: line[line.startIndex + bad])
    }
    let text = String(decoding: line, as: UTF8.self)
    start = end + skipping
    if start == bytes.count {
      offset += start
      bytes.removeAll()
      start = 0
    }
    return text
  }

  private mutating func read() throws {
    if bytes.count - start > TextInput.byteLimit {
      throw CommandError.textTooLarge(name: "standard input", limit: TextInput.byteLimit)
    }
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    do {
      let count = try chunk.withUnsafeMutableBytes {
        try FileDescriptor.standardInput.read(into: $0)
      }
      hasEnded = count == 0
      bytes += chunk[..<count]
    } catch Errno.isDirectory {
      throw CommandError.textIsFolder("standard input")
    } catch let error as Errno {
      throw CommandError.textUnreadable(name: "standard input", operation: "read", error)
    }
  }
}
