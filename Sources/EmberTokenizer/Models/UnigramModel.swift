/// The most likely way to cut a word into pieces (Kudo 2018; Viterbi's algorithm), with the ties and
/// the arithmetic of the reference: 64 bits as in `tokenizers`, 32 as in SentencePiece.
///
/// Complexity: O(characters × longest piece); linear in the text.
struct UnigramModel: TokenModel {
  private let view: UnsafeTokenizerView
  private let trie: SymbolTrie?
  private let scores: [Double]
  private let isSinglePrecision: Bool
  private let unknown: Int32
  private let unknownScore: Double
  private let highestScore: Float
  private let hasUserDefined: Bool
  private let hasByteFallback: Bool

  private var best: [Double] = []
  private var starts: [Int32] = []
  private var ids: [Int32] = []
  private var reversed: [(id: Int32, start: Int, end: Int)] = []
  var output: [Int32] = []

  init(_ view: UnsafeTokenizerView, _ pipeline: TokenizerPipeline) {
    self.view = view
    trie = pipeline.trie
    scores = pipeline.scores
    isSinglePrecision = view.layout.options.contains(.usesSinglePrecision)
    unknown = view.layout.unknown ?? -1
    let penalty = 10.0
    unknownScore =
      isSinglePrecision
      ? Double(Float(pipeline.lowestScore) - Float(penalty)) : pipeline.lowestScore - penalty
    highestScore = Float(pipeline.highestScore)
    hasUserDefined = pipeline.hasUserDefined
    hasByteFallback = view.layout.options.contains(.fallsBackToBytes)
  }

  mutating func encode(word: UnsafeBufferPointer<UInt8>) {
    // Places are kept in 32 bits; so long a word is cut, which no real text has.
    let limit = 1 << 28
    var start = 0
    while start < word.count {
      var end = min(word.count, start + limit)
      while end < word.count && word[end] & 0xc0 == 0x80 { end += 1 }
      encode(part: UnsafeBufferPointer(rebasing: word[start..<end]))
      start = end
    }
  }

  private mutating func encode(part word: UnsafeBufferPointer<UInt8>) {
    guard let trie else { return }
    best.removeAll(keepingCapacity: true)
    starts.removeAll(keepingCapacity: true)
    ids.removeAll(keepingCapacity: true)
    best.append(contentsOf: repeatElement(0, count: word.count + 1))
    starts.append(contentsOf: repeatElement(-1, count: word.count + 1))
    ids.append(contentsOf: repeatElement(-1, count: word.count + 1))
    var start = 0
    while start < word.count {
      let before = best[start]
      let length = UTF8Decoding.byteCount(lead: word[start])
      var hasCharacter = false
      var node = 0
      var index = start
      while index < word.count {
        node = trie.child(node, word[index])
        if node < 0 { break }
        index += 1
        let id = trie.values[node]
        if id < 0 { continue }
        offer(score(id, index - start) + before, index, start, id)
        if index - start == length { hasCharacter = true }
      }
      if !hasCharacter {
        offer(unknownScore + before, min(start + length, word.count), start, unknown)
      }
      start += length
    }
    backtrack(word)
  }

  @inline(__always)
  private func score(_ id: Int32, _ length: Int) -> Double {
    if hasUserDefined && view.flags(id).contains(.userDefined) {
      // SentencePiece's bonus, in its arithmetic: always chosen.
      return Double(Float(length) * highestScore) - 0.1
    }
    return scores[Int(id)]
  }

  @inline(__always)
  private mutating func offer(_ score: Double, _ end: Int, _ start: Int, _ id: Int32) {
    // Rounded before it is compared: which of two ways wins a tie depends on it.
    let score = isSinglePrecision ? Double(Float(score)) : score
    if starts[end] >= 0 && !(score > best[end]) { return }
    best[end] = score
    starts[end] = Int32(truncatingIfNeeded: start)
    ids[end] = id
  }

  private mutating func backtrack(_ word: UnsafeBufferPointer<UInt8>) {
    reversed.removeAll(keepingCapacity: true)
    let fuses = view.layout.options.contains(.fusesUnknown)
    var end = word.count
    while end > 0 {
      let start = Int(starts[end])
      if start < 0 { break }
      let id = ids[end]
      if fuses, id == unknown, let last = reversed.last, last.id == unknown, last.start == end {
        reversed[reversed.count - 1].start = start
      } else {
        reversed.append((id, start, end))
      }
      end = start
    }
    for piece in reversed.reversed() {
      if piece.id != unknown {
        output.append(piece.id)
      } else {
        appendUnknown(UnsafeBufferPointer(rebasing: word[piece.start..<piece.end]))
      }
    }
  }

  private mutating func appendUnknown(_ text: UnsafeBufferPointer<UInt8>) {
    // Unknown characters side by side may be a piece together, too unlikely to be found above.
    if !isSinglePrecision {
      let id = view.find(text)
      if id >= 0 {
        output.append(id)
        return
      }
    }
    if hasByteFallback, text.allSatisfy({ view.byteToken($0) >= 0 }) {
      for byte in text { output.append(view.byteToken(byte)) }
    } else if unknown >= 0 {
      output.append(unknown)
    }
  }
}
