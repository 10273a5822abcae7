/// What the pre-tokenizers' and normalizers' libraries take a character for; see
/// tools/fixtures/make_tokenizer_unicode.py, which asks them.
struct CharacterProperties: OptionSet {
  let rawValue: UInt32

  /// Rust's `char::is_whitespace`.
  static let whiteSpace = CharacterProperties(rawValue: 1 << 5)
  /// Rust's `char::is_numeric`.
  static let numeric = CharacterProperties(rawValue: 1 << 6)
  /// `\w` of Rust's regex.
  static let word = CharacterProperties(rawValue: 1 << 7)
  /// `\w` of Oniguruma.
  static let expressionWord = CharacterProperties(rawValue: 1 << 8)
  /// `\s` of Oniguruma.
  static let expressionSpace = CharacterProperties(rawValue: 1 << 9)
  /// ASCII punctuation and general category P, of unicode_categories.
  static let punctuation = CharacterProperties(rawValue: 1 << 10)
  /// General category C of unicode_categories, without tab and line ends.
  static let control = CharacterProperties(rawValue: 1 << 11)
  /// General category Mn of unicode_categories, after decomposition.
  static let nonspacingMark = CharacterProperties(rawValue: 1 << 12)
  /// General category M of unicode-normalization.
  static let combiningMark = CharacterProperties(rawValue: 1 << 13)
  /// Continues a grapheme.
  static let extendsGrapheme = CharacterProperties(rawValue: 1 << 14)

  /// The general category of Oniguruma: 0 for Cn, else the place in `categories` plus one.
  var category: Int { Int(rawValue & 31) }

  static let categories = [
    "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi",
    "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Co",
  ]

  /// Bit 16 and on.
  static let scripts = [
    "Han", "Hiragana", "Katakana", "Hangul", "Latin", "Cyrillic", "Greek", "Arabic", "Hebrew",
    "Thai", "Devanagari",
  ]

  /// The properties of a code point below 0x110000. Complexity: O(1).
  @inline(__always)
  static func of(_ point: UInt32) -> CharacterProperties { CharacterPropertyTable.shared[point] }
}

/// Two-stage table of the properties, made once from the runs.
struct CharacterPropertyTable: Sendable {
  static let shared = CharacterPropertyTable()

  private var blockOf: [UInt16] = []
  private var values: [UInt32] = []

  private init() {
    let numbers = Base36.numbers(CharacterPropertiesData.runs)
    var flat: [UInt32] = []
    flat.reserveCapacity(0x110000)
    for index in stride(from: 0, to: numbers.count - 1, by: 2) {
      let value = CharacterPropertiesData.kinds[numbers[index + 1]]
      flat += repeatElement(value, count: numbers[index])
    }
    var known: [ArraySlice<UInt32>: UInt16] = [:]
    for start in stride(from: 0, to: flat.count, by: 128) {
      let block = flat[start..<min(start + 128, flat.count)]
      if let number = known[block] {
        blockOf.append(number)
      } else {
        let number = UInt16(values.count / 128)
        known[block] = number
        blockOf.append(number)
        values += block
      }
    }
  }

  @inline(__always)
  subscript(point: UInt32) -> CharacterProperties {
    let block = Int(blockOf[Int(point >> 7)])
    return CharacterProperties(rawValue: values[block << 7 | Int(point & 127)])
  }
}

/// The notation of the generated tables.
enum Base36 {
  static func numbers(_ text: String) -> [Int] {
    text.utf8.split(separator: UInt8(ascii: " ")).map(number)
  }

  static func number(_ digits: some Sequence<UInt8>) -> Int {
    digits.reduce(0) { value, digit in
      // The tables are made by our own script: digits and small letters.
      value * 36
        + Int(digit) - (digit < 0x40 ? Int(UInt8(ascii: "0")) : Int(UInt8(ascii: "a")) - 10)
    }
  }
}
