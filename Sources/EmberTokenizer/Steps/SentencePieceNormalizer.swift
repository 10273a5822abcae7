/// SentencePiece's own normalization (google/sentencepiece, src/normalizer.cc): the longest entry of
/// the character map at each place, then white space.
struct SentencePieceNormalizer: Sendable {
  struct Options: OptionSet, Sendable {
    let rawValue: UInt8
    static let addsDummyPrefix = Options(rawValue: 1)
    static let removesExtraSpaces = Options(rawValue: 2)
    static let escapesSpaces = Options(rawValue: 4)
    static let spacesAreSuffixes = Options(rawValue: 8)
    static let known: UInt8 = 15
  }

  private let options: Options
  private let map: CharacterMap?
  private let symbols: SymbolTrie?

  /// - Parameter symbols: each ended by 0.
  init?(options: UInt8, map: [UInt8], symbols: [UInt8]) {
    guard options & ~Options.known == 0, String(validating: symbols, as: UTF8.self) != nil else {
      return nil
    }
    self.options = Options(rawValue: options)
    if symbols.isEmpty {
      self.symbols = nil
    } else {
      guard let trie = SymbolTrie(symbols.split(separator: 0).map(Array.init)) else { return nil }
      self.symbols = trie
    }
    if map.isEmpty {
      self.map = nil
    } else {
      guard let map = CharacterMap(map) else { return nil }
      self.map = map
    }
  }

  private static let space = UInt8(ascii: " ")

  func normalize(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(text.count + text.count / 2 + 3)
    let removes = options.contains(.removesExtraSpaces)
    var index = 0
    if removes {
      while index < text.count {
        let (length, isSpace) = prefix(text, index) {
          $0.elementsEqual(CollectionOfOne(Self.space))
        }
        if !isSpace { break }
        index += length
      }
    }
    if index == text.count { return [] }
    let hasPrefix = options.contains(.addsDummyPrefix)
    let isSuffix = options.contains(.spacesAreSuffixes)
    if hasPrefix && !isSuffix { appendSpace(&output) }
    var afterSpace = removes
    while index < text.count {
      let (length, endsInSpace) = prefix(text, index) { part -> Bool in
        var part = part
        if afterSpace { part = part.drop { $0 == Self.space } }
        for byte in part {
          if byte == Self.space { appendSpace(&output) } else { output.append(byte) }
        }
        return part.isEmpty ? afterSpace : part.last == Self.space
      }
      afterSpace = removes && endsInSpace
      index += length
    }
    if removes {
      let space: [UInt8] = options.contains(.escapesSpaces) ? Metaspace.bytes : [Self.space]
      while output.count >= space.count && output.suffix(space.count).elementsEqual(space) {
        output.removeLast(space.count)
      }
    }
    if hasPrefix && isSuffix { appendSpace(&output) }
    return output
  }

  private func appendSpace(_ output: inout [UInt8]) {
    if options.contains(.escapesSpaces) {
      output += Metaspace.bytes
    } else {
      output.append(Self.space)
    }
  }

  /// Hands the normalized form of the first characters to `body`.
  ///
  /// - Returns: how many bytes they were.
  @inline(__always)
  private func prefix(
    _ text: UnsafeBufferPointer<UInt8>, _ index: Int,
    _ body: (Slice<UnsafeBufferPointer<UInt8>>) -> Bool
  ) -> (Int, Bool) {
    if let symbols, let length = symbols.longest(text, index) {
      return (length, body(text[index..<(index + length)]))
    }
    if let map, map.mayBegin(with: text[index]),
      let found = map.find(text, index..<text.count, .longest)
    {
      let result = Array(map.bytes(found.replacement)).withUnsafeBufferPointer { body($0[...]) }
      return (found.byteCount, result)
    }
    let length = UTF8Decoding.byteCount(lead: text[index])
    return (length, body(text[index..<(index + length)]))
  }
}

/// SentencePiece's stand-in for a space, ▁ (U+2581).
enum Metaspace {
  static let bytes: [UInt8] = Array("\u{2581}".utf8)
}
