import EmberFormat
import SystemPackage

/// The section that says which model and which texts. Offsets: `formats/statistics.md`.
struct StatisticsDescription: Equatable {
  var model: ModelFingerprint
  var texts: [CalibrationText]

  private static let fixedBytes = 56
  private static let textBytes = 48
  static let maximumNameBytes = 256

  func encoded() -> [UInt8] {
    let name = Array(model.name.utf8)
    let nameEnd = Self.fixedBytes + (name.count + 3) / 4 * 4
    var bytes = [UInt8](repeating: 0, count: nameEnd + Self.textBytes * texts.count)
    bytes.store(littleEndian: UInt32(model.layerCount), at: 0)
    bytes.store(littleEndian: UInt32(model.headCount), at: 4)
    bytes.store(littleEndian: UInt32(model.keyValueHeadCount), at: 8)
    bytes.store(littleEndian: UInt32(model.headDimension), at: 12)
    bytes.store(littleEndian: UInt64(model.width), at: 16)
    bytes.store(littleEndian: UInt64(model.feedForwardWidth), at: 24)
    bytes.store(littleEndian: UInt64(model.vocabularySize), at: 32)
    bytes.store(littleEndian: UInt32(model.tiedHead ? 1 : 0), at: 40)
    bytes.store(littleEndian: UInt32(name.count), at: 44)
    bytes.store(littleEndian: UInt32(texts.count), at: 48)
    bytes.replaceSubrange(Self.fixedBytes..<Self.fixedBytes + name.count, with: name)
    for (index, text) in texts.enumerated() {
      let at = nameEnd + Self.textBytes * index
      bytes.replaceSubrange(at..<at + 32, with: Self.digest(text.sha256))
      bytes.store(littleEndian: UInt64(text.tokenCount), at: at + 32)
      bytes.store(littleEndian: UInt32(text.windowLength), at: at + 40)
      bytes.store(littleEndian: UInt32(text.addsBeginOfSequence ? 1 : 0), at: at + 44)
    }
    return bytes
  }

  init(model: ModelFingerprint, texts: [CalibrationText]) {
    self.model = model
    self.texts = texts
  }

  init(_ bytes: [UInt8], path: FilePath) throws(CalibrationError) {
    func require(_ what: String, _ holds: Bool, _ expected: String, _ found: some Any)
      throws(CalibrationError)
    {
      guard holds else {
        throw .damaged(
          path, place: "description: \(what)", expected: expected, found: "\(found)")
      }
    }
    try require(
      "size", bytes.count >= Self.fixedBytes, "\(Self.fixedBytes) or more", bytes.count)
    func count(_ name: String, at offset: Int, _ range: ClosedRange<Int>)
      throws(CalibrationError) -> Int
    {
      let value = Int(bytes.littleEndian(UInt32.self, at: offset))
      try require(name, range.contains(value), "\(range.lowerBound) to \(range.upperBound)", value)
      return value
    }
    func width(_ name: String, at offset: Int) throws(CalibrationError) -> Int {
      let value = bytes.littleEndian(UInt64.self, at: offset)
      try require(name, value >= 1 && value <= 1 << 24, "1 to \(1 << 24)", value)
      return Int(value)
    }
    let nameBytes = try count("name size", at: 44, 0...Self.maximumNameBytes)
    let nameEnd = Self.fixedBytes + (nameBytes + 3) / 4 * 4
    let textCount = Int(bytes.littleEndian(UInt32.self, at: 48))
    // A 32-bit count of 48 bytes: no overflow.
    let size = nameEnd + Self.textBytes * textCount
    try require("size", bytes.count == size, "\(size) for \(textCount) texts", bytes.count)
    let name = bytes[Self.fixedBytes..<Self.fixedBytes + nameBytes]
    guard let name = String(validating: name, as: UTF8.self) else {
      throw .damaged(path, place: "description: name", expected: "UTF-8", found: "other bytes")
    }
    let tied = try count("tied head", at: 40, 0...1)
    model = ModelFingerprint(
      name: name, vocabularySize: try width("vocabulary", at: 32),
      width: try width("width", at: 16),
      layerCount: try count("layers", at: 0, 1...65_536),
      feedForwardWidth: try width("feed-forward width", at: 24),
      headCount: try count("heads", at: 4, 1...65_536),
      keyValueHeadCount: try count("key/value heads", at: 8, 1...65_536),
      headDimension: try count("head dimension", at: 12, 1...1024), tiedHead: tied == 1)
    var texts: [CalibrationText] = []
    for index in 0..<textCount {
      let at = nameEnd + Self.textBytes * index
      let tokens = bytes.littleEndian(UInt64.self, at: at + 32)
      try require(
        "tokens of text \(index)", tokens <= UInt64(SiteRecord.maximumTokens), "at most 2^48",
        tokens)
      let flags = try count("flags of text \(index)", at: at + 44, 0...1)
      texts.append(
        CalibrationText(
          sha256: Self.hexadecimal(bytes[at..<at + 32]), tokenCount: Int(tokens),
          windowLength: try count("window of text \(index)", at: at + 40, 1...1 << 30),
          addsBeginOfSequence: flags == 1))
    }
    self.texts = texts
  }

  /// 32 bytes of 64 digits; zeros where there are none.
  private static func digest(_ text: String) -> [UInt8] {
    let digits = text.unicodeScalars.map { UInt8(Character($0).hexDigitValue ?? 0) }
    return (0..<32).map { 2 * $0 + 1 < digits.count ? digits[2 * $0] << 4 | digits[2 * $0 + 1] : 0 }
  }

  private static func hexadecimal(_ bytes: ArraySlice<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}
