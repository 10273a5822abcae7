import EmberTokenizer
import Foundation

/// As much of GGUF as the vocabularies of the reference data need: metadata, no tensors. It trusts
/// its files; the package's own reader is elsewhere.
struct GGUFMetadata {
  enum Value {
    case number(Double)
    case text([UInt8])
    case list([Value])
  }

  private(set) var values: [String: Value] = [:]
  private let data: [UInt8]
  private var at = 0

  init(_ path: String) throws {
    data = Array(try Data(contentsOf: URL(filePath: path)))
    at = 16
    let count = Int(integer(8))
    for _ in 0..<count {
      let key = String(decoding: text(), as: UTF8.self)
      values[key] = value(Int(integer(4)))
    }
  }

  private mutating func integer(_ byteCount: Int) -> UInt64 {
    defer { at += byteCount }
    return (0..<byteCount).reduce(0) { $0 | UInt64(data[at + $1]) << UInt64(8 * $1) }
  }

  private mutating func text() -> [UInt8] {
    let count = Int(integer(8))
    defer { at += count }
    return Array(data[at..<(at + count)])
  }

  private mutating func value(_ type: Int) -> Value {
    switch type {
    case 0, 7: return .number(Double(integer(1)))
    case 1: return .number(Double(Int8(truncatingIfNeeded: integer(1))))
    case 2, 3: return .number(Double(integer(2)))
    case 4: return .number(Double(integer(4)))
    case 5: return .number(Double(Int32(truncatingIfNeeded: integer(4))))
    case 6: return .number(Double(Float(bitPattern: UInt32(integer(4)))))
    case 8: return .text(text())
    case 9:
      let element = Int(integer(4))
      let count = Int(integer(8))
      return .list((0..<count).map { _ in value(element) })
    case 12: return .number(Double(bitPattern: integer(8)))
    default: return .number(Double(integer(8)))
    }
  }

  private func number(_ key: String) -> Double? {
    guard case .number(let value) = values["tokenizer.ggml.\(key)"] else { return nil }
    return value
  }

  private func text(_ key: String) -> [UInt8]? {
    guard case .text(let value) = values["tokenizer.ggml.\(key)"] else { return nil }
    return value
  }

  private func list(_ key: String) -> [Value] {
    guard case .list(let value) = values["tokenizer.ggml.\(key)"] else { return [] }
    return value
  }

  private func texts(_ key: String) -> [[UInt8]] {
    list(key).map { if case .text(let bytes) = $0 { bytes } else { [] } }
  }

  private func numbers(_ key: String) -> [Double] {
    list(key).map { if case .number(let value) = $0 { value } else { 0 } }
  }

  var vocabulary: GGUFVocabulary {
    var vocabulary = GGUFVocabulary(
      model: String(decoding: text("model") ?? [], as: UTF8.self), tokens: texts("tokens"))
    vocabulary.preTokenizer = text("pre").map { String(decoding: $0, as: UTF8.self) }
    vocabulary.scores = numbers("scores").map { Float($0) }
    vocabulary.tokenTypes = numbers("token_type").map { Int32($0) }
    vocabulary.merges = texts("merges")
    vocabulary.beginOfSequence = number("bos_token_id").map { Int($0) }
    vocabulary.endOfSequence = number("eos_token_id").map { Int($0) }
    vocabulary.unknown = number("unknown_token_id").map { Int($0) }
    vocabulary.separator = number("seperator_token_id").map { Int($0) }
    vocabulary.padding = number("padding_token_id").map { Int($0) }
    vocabulary.classification = number("cls_token_id").map { Int($0) }
    vocabulary.mask = number("mask_token_id").map { Int($0) }
    vocabulary.addsBeginOfSequence = number("add_bos_token").map { $0 != 0 }
    vocabulary.addsEndOfSequence = number("add_eos_token").map { $0 != 0 }
    vocabulary.addsSpacePrefix = number("add_space_prefix").map { $0 != 0 }
    return vocabulary
  }
}
