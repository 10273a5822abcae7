import EmberTokenizer

/// The words of a text: what is between ASCII white space. A word is counted where it begins, so that
/// the tokens of a part of a text have a number of words that does not depend on how it was cut.
struct WordStarts {
  /// [tokens] Words that begin in each token.
  private(set) var counts: [Int] = []

  init(_ ids: [Int32], _ tokenizer: Tokenizer) {
    counts.reserveCapacity(ids.count)
    var isBetween = true
    for id in ids {
      var count = 0
      for byte in tokenizer.isSpecial(id) ? [] : tokenizer.bytes(of: id) {
        let isSpace = byte == 0x20 || (0x09...0x0D).contains(byte)
        if isBetween && !isSpace { count += 1 }
        isBetween = isSpace
      }
      counts.append(count)
    }
  }
}
