/// The merges of a vocabulary that has none written down, where neighbours merge if their bytes end
/// to end are a piece (SentencePiece's BPE, llama2.c, tiktoken): every way in which a piece is two
/// pieces.
enum ConcatenationMerges {
  /// Llama 2 has some 90,000, Qwen2 some 600,000.
  static let limit = 1 << 23
  /// The search is quadratic in it; Llama 2's longest piece has 27 bytes, tiktoken's 128.
  static let longestPiece = 1024

  /// - Parameters:
  ///   - texts: the bytes of each piece, by id.
  ///   - rank: the rank of a piece as a result, lower first, or nil if it never is.
  ///   - takesPart: whether a piece may be merged at all.
  static func make(
    _ texts: [[UInt8]], _ table: PieceTable, path: String, rank: (Int) -> UInt32?,
    takesPart: (Int) -> Bool = { _ in true }
  ) throws(TokenizerError) -> [TokenizerDescription.Merge] {
    var merges: [TokenizerDescription.Merge] = []
    for (id, text) in texts.enumerated()
    where text.count >= 2 && text.count <= longestPiece && takesPart(id) && table.find(text) == id {
      guard let rank = rank(id) else { continue }
      text.withUnsafeBufferPointer { text in
        for cut in 1..<text.count {
          guard let left = table.find(UnsafeBufferPointer(rebasing: text[..<cut])),
            takesPart(left),
            let right = table.find(UnsafeBufferPointer(rebasing: text[cut...])), takesPart(right)
          else { continue }
          merges.append(
            .init(left: Int32(left), right: Int32(right), rank: rank, result: Int32(id)))
        }
      }
      if merges.count > limit { throw .tooManyMerges(path: path, limit: limit) }
    }
    return merges
  }

  /// Ranks by score, highest first; equal scores have equal ranks. NaN has none.
  static func ranks(_ scores: [Float]) -> [Float: UInt32] {
    let ranked = Set(scores.lazy.filter { !$0.isNaN }).sorted(by: >)
    return Dictionary(uniqueKeysWithValues: ranked.enumerated().map { ($1, UInt32($0)) })
  }
}
