/// JSON as text, written value by value, so that a vocabulary needs no tree in memory.
package struct JSONText {
  package private(set) var bytes: [UInt8] = []
  /// Whether the next value or key follows another one.
  private var needsComma = false

  package init() {}

  package mutating func object(_ body: (inout JSONText) -> Void) { nested("{", "}", body) }
  package mutating func array(_ body: (inout JSONText) -> Void) { nested("[", "]", body) }

  /// What follows is the value of this key.
  package mutating func key(_ name: String) {
    string(name)
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  package mutating func string(_ text: String) {
    separate()
    bytes.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
      case UInt8(ascii: "\n"): bytes += "\\n".utf8
      case UInt8(ascii: "\r"): bytes += "\\r".utf8
      case UInt8(ascii: "\t"): bytes += "\\t".utf8
      case 0..<0x20, 0x7f:
        let digits = Array("0123456789abcdef".utf8)
        bytes += "\\u00".utf8
        bytes += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  package mutating func integer(_ value: Int) { plain("\(value)") }
  package mutating func boolean(_ value: Bool) { plain(value ? "true" : "false") }
  package mutating func null() { plain("null") }

  /// The shortest digits that give the same number when they are read. The caller knows that it is
  /// finite.
  package mutating func number(_ value: Double) { plain("\(value)") }
  package mutating func number(_ value: Float) { plain("\(value)") }

  package mutating func value(_ value: JSONValue) {
    switch value {
    case .null: null()
    case .bool(let value): boolean(value)
    case .integer(let value): integer(value)
    case .number(let value): number(value)
    case .string(let value): string(value)
    case .array(let elements): array { for element in elements { $0.value(element) } }
    case .object(let members):
      object { text in
        for member in members {
          text.key(member.key)
          text.value(member.value)
        }
      }
    }
  }

  private mutating func plain(_ text: String) {
    separate()
    bytes += text.utf8
  }

  private mutating func nested(_ open: String, _ close: String, _ body: (inout JSONText) -> Void) {
    separate()
    bytes += open.utf8
    needsComma = false
    body(&self)
    bytes += close.utf8
    needsComma = true
  }

  private mutating func separate() {
    if needsComma { bytes.append(UInt8(ascii: ",")) }
    needsComma = true
  }
}
