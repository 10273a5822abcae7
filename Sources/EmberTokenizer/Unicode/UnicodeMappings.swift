/// Decompositions, compositions, combining classes and lower case, as the reference has them (see
/// tools/fixtures/make_tokenizer_unicode.py); made once from the generated tables.
struct UnicodeMappings: Sendable {
  static let shared = UnicodeMappings()

  private(set) var canonical: [UInt32: [UInt32]] = [:]
  /// Only where they differ from the canonical ones.
  private(set) var compatible: [UInt32: [UInt32]] = [:]
  private(set) var combiningClasses: [UInt32: UInt8] = [:]
  private(set) var compositions: [UInt64: UInt32] = [:]
  private(set) var lowercase: [UInt32: [UInt32]] = [:]

  private init() {
    canonical = Self.map(NormalizationData.canonical)
    compatible = Self.map(NormalizationData.compatible)
    lowercase = Self.map(NormalizationData.lowercase)
    var point = 0
    let marks = Base36.numbers(NormalizationData.combiningClasses)
    for index in stride(from: 0, to: marks.count - 1, by: 2) {
      point += marks[index]
      combiningClasses[UInt32(point)] = UInt8(truncatingIfNeeded: marks[index + 1])
    }
    let triples = Base36.numbers(NormalizationData.compositions)
    for index in stride(from: 0, to: triples.count - 2, by: 3) {
      compositions[UInt64(triples[index]) << 32 | UInt64(triples[index + 1])] =
        UInt32(triples[index + 2])
    }
  }

  private static func map(_ text: String) -> [UInt32: [UInt32]] {
    var result: [UInt32: [UInt32]] = [:]
    var point = 0
    var isKey = true
    for word in text.utf8.split(separator: UInt8(ascii: " ")) {
      if isKey {
        point += Base36.number(word)
      } else {
        result[UInt32(point)] =
          word.first == UInt8(ascii: "-")
          ? [] : word.split(separator: UInt8(ascii: ".")).map { UInt32(Base36.number($0)) }
      }
      isKey.toggle()
    }
    return result
  }
}
