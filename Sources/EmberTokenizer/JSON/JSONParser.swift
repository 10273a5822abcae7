/// A strict JSON parser (RFC 8259) over bytes.
///
/// Foundation's parsers hand out dictionaries whose String keys compare by canonical equivalence:
/// two pieces of a vocabulary that differ only so would silently become one.
package struct JSONParser {
  private let bytes: [UInt8]
  private let path: String
  private var position = 0

  /// Deeper nesting is no tokenizer, and recursion must end before the stack does.
  private static let maximumDepth = 64

  package static func parse(_ bytes: [UInt8], path: String) throws(TokenizerError) -> JSONValue {
    var parser = JSONParser(bytes: bytes, path: path)
    if bytes.starts(with: [0xef, 0xbb, 0xbf]) { parser.position = 3 }
    let value = try parser.value(depth: 0)
    parser.skipSpace()
    if parser.position < bytes.count { throw parser.error("something follows the value") }
    return value
  }

  private init(bytes: [UInt8], path: String) {
    self.bytes = bytes
    self.path = path
  }

  private func error(_ reason: String) -> TokenizerError {
    .invalidJSON(path: path, offset: position, reason: reason)
  }

  private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func skipSpace() {
    while let byte = current, byte == 0x20 || (byte >= 0x09 && byte <= 0x0d) {
      // RFC 8259 allows four of these; the others end up as an error one byte later.
      if byte == 0x0b || byte == 0x0c { return }
      position += 1
    }
  }

  private mutating func take(_ character: Unicode.Scalar) throws(TokenizerError) {
    skipSpace()
    guard current == UInt8(ascii: character) else {
      throw error(current == nil ? "the text ends early" : "expected '\(character)'")
    }
    position += 1
  }

  /// Takes a separator or the closing bracket; true if the list goes on.
  private mutating func continues(
    until close: Unicode.Scalar
  ) throws(TokenizerError) -> Bool {
    skipSpace()
    if current == UInt8(ascii: ",") {
      position += 1
      return true
    }
    try take(close)
    return false
  }

  private mutating func isEmpty(until close: Unicode.Scalar) -> Bool {
    skipSpace()
    guard current == UInt8(ascii: close) else { return false }
    position += 1
    return true
  }

  private mutating func value(depth: Int) throws(TokenizerError) -> JSONValue {
    if depth > Self.maximumDepth { throw error("nested deeper than \(Self.maximumDepth)") }
    skipSpace()
    switch current {
    case UInt8(ascii: "{"):
      position += 1
      var members: [JSONValue.Member] = []
      if isEmpty(until: "}") { return .object(members) }
      repeat {
        skipSpace()
        let key = try string()
        try take(":")
        members.append(.init(key: key, value: try value(depth: depth + 1)))
      } while try continues(until: "}")
      return .object(members)
    case UInt8(ascii: "["):
      position += 1
      var elements: [JSONValue] = []
      if isEmpty(until: "]") { return .array(elements) }
      repeat { elements.append(try value(depth: depth + 1)) } while try continues(until: "]")
      return .array(elements)
    case UInt8(ascii: "\""):
      return .string(try string())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    case nil: throw error("the text ends early")
    default: return try number()
    }
  }

  private mutating func literal(
    _ word: String, _ value: JSONValue
  ) throws(TokenizerError) -> JSONValue {
    guard bytes[position...].starts(with: word.utf8) else { throw error("expected a value") }
    position += word.utf8.count
    return value
  }

  private mutating func number() throws(TokenizerError) -> JSONValue {
    let start = position
    if current == UInt8(ascii: "-") { position += 1 }
    let first = current
    let wholeDigits = skipDigits()
    var isNumber = wholeDigits == 1 || (wholeDigits > 1 && first != UInt8(ascii: "0"))
    var isWhole = true
    if current == UInt8(ascii: ".") {
      position += 1
      isWhole = false
      isNumber = skipDigits() > 0 && isNumber
    }
    if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
      position += 1
      isWhole = false
      if current == UInt8(ascii: "-") || current == UInt8(ascii: "+") { position += 1 }
      isNumber = skipDigits() > 0 && isNumber
    }
    if isNumber {
      let text = String(decoding: bytes[start..<position], as: UTF8.self)
      if isWhole, let value = Int(text) { return .integer(value) }
      if let value = Double(text), value.isFinite { return .number(value) }
    }
    position = start
    throw error("expected a value")
  }

  /// Returns how many there were.
  private mutating func skipDigits() -> Int {
    let start = position
    while let byte = current, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { position += 1 }
    return position - start
  }

  private mutating func string() throws(TokenizerError) -> String {
    guard current == UInt8(ascii: "\"") else {
      throw error(current == nil ? "the text ends early" : "expected a string")
    }
    position += 1
    let start = position
    var decoded: [UInt8]?
    while let byte = current {
      switch byte {
      case UInt8(ascii: "\""):
        let content = decoded.map { $0[...] } ?? bytes[start..<position]
        guard let text = String(validating: content, as: UTF8.self) else {
          throw error("the string before it is not UTF-8")
        }
        position += 1
        return text
      case UInt8(ascii: "\\"):
        if decoded == nil { decoded = Array(bytes[start..<position]) }
        position += 1
        let scalar = try escape()
        decoded?.append(contentsOf: String(scalar).utf8)
      case 0..<0x20:
        throw error("a control character inside a string")
      default:
        decoded?.append(byte)
        position += 1
      }
    }
    throw error("the text ends inside a string")
  }

  private mutating func escape() throws(TokenizerError) -> Unicode.Scalar {
    guard let byte = current else { throw error("the text ends inside a string") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
    case UInt8(ascii: "b"): return "\u{08}"
    case UInt8(ascii: "f"): return "\u{0c}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      let first = try hexadecimal()
      if let scalar = Unicode.Scalar(first) { return scalar }
      // Half of a surrogate pair; the other half must follow.
      guard first < 0xdc00, bytes[position...].starts(with: "\\u".utf8) else {
        throw error("half a surrogate pair")
      }
      position += 2
      let second = try hexadecimal()
      guard second >= 0xdc00, second < 0xe000,
        let scalar = Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
      else { throw error("half a surrogate pair") }
      return scalar
    default:
      throw error("an unknown escape")
    }
  }

  private mutating func hexadecimal() throws(TokenizerError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = current, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw error("expected four hexadecimal digits")
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }
}
