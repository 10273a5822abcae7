import SystemPackage

/// A key of the terminal.
enum Key: Equatable {
  case text(String)
  /// Text between the marks of a terminal's bracketed paste.
  case paste(String)
  case enter, newLine, backspace, delete, tab
  case left, right, up, down, home, end, wordLeft, wordRight
  /// Ctrl and this letter.
  case control(Character)
  case endOfInput
  case unknown
}

/// Turns a terminal's bytes into keys.
struct KeyReader {
  private var buffer: [UInt8] = []
  private var next = 0
  private let read: () -> [UInt8]

  /// - Parameter read: some bytes, none at the end.
  init(read: @escaping () -> [UInt8]) { self.read = read }

  /// Bytes of standard input.
  static func standardInput() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = try? bytes.withUnsafeMutableBytes {
      try FileDescriptor.standardInput.read(into: $0)
    }
    return Array(bytes[..<(count ?? 0)])
  }

  private mutating func byte() -> UInt8? {
    if next == buffer.count {
      buffer = read()
      next = 0
    }
    guard next < buffer.count else { return nil }
    next += 1
    return buffer[next - 1]
  }

  mutating func key() -> Key {
    guard let first = byte() else { return .endOfInput }
    switch first {
    case 0x0D: return .enter
    case 0x0A: return .newLine
    case 0x09: return .tab
    case 0x7F, 0x08: return .backspace
    case 0x1B: return escape()
    case 0x00..<0x20: return .control(Character(Unicode.Scalar(first + 0x60)))
    default: return character(first)
    }
  }

  private mutating func character(_ first: UInt8) -> Key {
    let more = first < 0xC0 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3
    var bytes = [first]
    for _ in 0..<more {
      guard let continued = byte() else { break }
      bytes.append(continued)
    }
    return String(validating: bytes, as: UTF8.self).map(Key.text) ?? .unknown
  }

  private mutating func escape() -> Key {
    // A lone escape is followed by nothing that is there already.
    guard next < buffer.count, let second = byte() else { return .unknown }
    switch second {
    case UInt8(ascii: "["): return sequence()
    case UInt8(ascii: "O"):
      return [0x48: .home, 0x46: .end, 0x41: .up, 0x42: .down, 0x43: .right, 0x44: .left][
        byte() ?? 0] ?? .unknown
    case UInt8(ascii: "b"): return .wordLeft
    case UInt8(ascii: "f"): return .wordRight
    case 0x0D: return .newLine
    case 0x7F: return .control("w")
    default: return .unknown
    }
  }

  private mutating func sequence() -> Key {
    var parameters = ""
    while let byte = byte() {
      let isFinal = byte >= 0x40 && byte <= 0x7E
      if !isFinal {
        parameters.append(Character(Unicode.Scalar(byte)))
        if parameters.utf8.count > 16 { return .unknown }
        continue
      }
      // Such as `1;5C`: with Ctrl or Alt.
      let isModified = parameters.hasSuffix(";5") || parameters.hasSuffix(";3")
      switch byte {
      case UInt8(ascii: "A"): return .up
      case UInt8(ascii: "B"): return .down
      case UInt8(ascii: "C"): return isModified ? .wordRight : .right
      case UInt8(ascii: "D"): return isModified ? .wordLeft : .left
      case UInt8(ascii: "H"): return .home
      case UInt8(ascii: "F"): return .end
      case UInt8(ascii: "~"):
        switch parameters {
        case "1", "7": return .home
        case "4", "8": return .end
        case "3": return .delete
        case "200": return paste()
        default: return .unknown
        }
      default: return .unknown
      }
    }
    return .endOfInput
  }

  private mutating func paste() -> Key {
    let end = Array("\u{1B}[201~".utf8)
    var bytes: [UInt8] = []
    while let byte = byte() {
      bytes.append(byte)
      if byte == end.last, bytes.suffix(end.count).elementsEqual(end) {
        bytes.removeLast(end.count)
        break
      }
    }
    // Terminals send line ends as the key does, and control characters could move the cursor.
    let text = String(decoding: bytes, as: UTF8.self)
    var shown = String.UnicodeScalarView()
    var previous: Unicode.Scalar = " "
    for scalar in text.unicodeScalars {
      if scalar == "\n" || scalar == "\r" {
        if !(scalar == "\n" && previous == "\r") { shown.append("\n") }
      } else if scalar == "\t" || scalar.properties.generalCategory != .control {
        shown.append(scalar)
      }
      previous = scalar
    }
    return .paste(String(shown))
  }
}
