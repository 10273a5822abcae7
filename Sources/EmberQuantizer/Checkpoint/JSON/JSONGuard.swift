import Foundation

/// A look over JSON text before it is parsed, for what a parser lets pass or breaks on.
///
/// Text from strangers may nest a million brackets, which overflows a recursive parser's stack,
/// or name a key twice, which parsers resolve differently and silently. One pass over the bytes,
/// without recursion, finds both. It is not a validator: whether the text is JSON at all is left
/// to the parser.
struct JSONGuard {
  enum Problem: Error, Equatable {
    case notAnObject
    case zeroByte(offset: Int)
    case tooDeep(limit: Int)
    case tooMany(limit: Int)
    case repeatedKey(String)
  }

  /// True configurations nest three or four levels.
  static let depthLimit = 64
  /// Of commas: parsed, a value takes many times the bytes of its text. An index of 58 layers with 256
  /// experts of six tensors each, as DeepSeek-V3 has them, comes to 90,000.
  static let commaLimit = 150_000

  /// Checks text that has to be an object in UTF-8; the error says in a few words what is wrong.
  static func checkObject(_ text: [UInt8]) throws(JSONProblem) {
    do throws(Problem) {
      try check(text)
    } catch {
      throw JSONProblem(text: error.description)
    }
  }

  private static func check(_ text: [UInt8]) throws(Problem) {
    // UTF-16 and UTF-32, which parsers also take, begin otherwise or hold zero bytes.
    guard text.first(where: { !isSpace($0) }) == UInt8(ascii: "{") else { throw .notAnObject }
    /// The keys of each open object; nil stands for an array.
    var open: [Set<ArraySlice<UInt8>>?] = []
    /// The last complete string, without its quotes: a key if a colon follows.
    var string: Range<Int>?
    var index = 0
    var commas = 0
    while index < text.count {
      switch text[index] {
      case UInt8(ascii: "\""):
        let start = index + 1
        index = endOfString(in: text, from: start)
        string = start..<index
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        guard open.count < depthLimit else { throw .tooDeep(limit: depthLimit) }
        open.append(text[index] == UInt8(ascii: "{") ? Set() : nil)
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        _ = open.popLast()
      case UInt8(ascii: ":"):
        if let range = string, let top = open.indices.last {
          let key = unescaped(text[range])
          if open[top]?.insert(key).inserted == false {
            throw .repeatedKey(String(decoding: key, as: UTF8.self))
          }
        }
        string = nil
      case UInt8(ascii: ","):
        commas += 1
        guard commas <= commaLimit else { throw .tooMany(limit: commaLimit) }
      case 0: throw .zeroByte(offset: index)
      default: break
      }
      index += 1
    }
  }

  /// The index of the closing quote, or the end of the text.
  private static func endOfString(in text: [UInt8], from start: Int) -> Int {
    var index = start
    while index < text.count, text[index] != UInt8(ascii: "\"") {
      index += text[index] == UInt8(ascii: "\\") ? 2 : 1
    }
    return min(index, text.count)
  }

  /// A key as its reader will see it: "\u0061" is "a". Names rarely need escapes.
  private static func unescaped(_ key: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    guard key.contains(UInt8(ascii: "\\")) else { return key }
    let quoted = Data([UInt8(ascii: "\"")] + key + [UInt8(ascii: "\"")])
    guard let text = try? JSONDecoder().decode(String.self, from: quoted) else { return key }
    return ArraySlice(text.utf8)
  }

  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
  }
}

extension JSONGuard.Problem: CustomStringConvertible {
  var description: String {
    switch self {
    case .notAnObject: "expected an object, in UTF-8, that begins with {"
    case .zeroByte(let offset): "zero byte at offset \(offset)"
    case .tooDeep(let limit): "more than \(limit) levels of nesting"
    case .tooMany(let limit): "more than \(limit) values"
    case .repeatedKey(let key): "the key '\(key)' appears twice in one object"
    }
  }
}
