import EmberTokenizer

/// The bytes of a vocabulary's tokens, in the order of the bytes: what a trie would hold, flat.
///
/// Tokens that print nothing are not among them. Immutable, so that all texts of a model share it.
final class GrammarTokens: Sendable {
  /// Ids in the order of their bytes.
  let ids: [Int32]
  /// Where each begins in `bytes`; one more for the end.
  let starts: [Int]
  let bytes: [UInt8]
  /// How many bytes each has in common with the one before it.
  let shared: [Int]
  let vocabularySize: Int
  /// After this token a space at the beginning of a token is not printed; nil where it always is.
  let tokenThatEatsSpace: Int32?

  /// - Parameter vocabularySize: the model's, which may be more than the tokenizer's.
  init(_ tokenizer: Tokenizer, vocabularySize: Int) {
    self.vocabularySize = vocabularySize
    let count = min(vocabularySize, tokenizer.vocabularySize)
    let all = (0..<Int32(count)).map { id in
      tokenizer.isSpecial(id) ? [] : tokenizer.bytes(of: id)
    }
    ids = (0..<Int32(count)).filter { !all[Int($0)].isEmpty }.sorted { first, second in
      all[Int(first)].lexicographicallyPrecedes(all[Int(second)])
    }
    var (bytes, starts, shared): ([UInt8], [Int], [Int]) = ([], [], [])
    var previous: [UInt8] = []
    for id in ids {
      let next = all[Int(id)]
      starts.append(bytes.count)
      bytes += next
      shared.append(zip(previous, next).prefix { $0 == $1 }.count)
      previous = next
    }
    starts.append(bytes.count)
    (self.bytes, self.starts, self.shared) = (bytes, starts, shared)
    let spaced = ids.first { all[Int($0)].count > 1 && all[Int($0)][0] == UInt8(ascii: " ") }
    tokenThatEatsSpace = spaced.flatMap { id in
      var decoder = tokenizer.streamDecoder(after: tokenizer.beginOfSequence)
      return decoder.append(id).hasPrefix(" ") ? nil : tokenizer.beginOfSequence
    }
  }

  func bytes(at index: Int) -> ArraySlice<UInt8> { bytes[starts[index]..<starts[index + 1]] }
}
