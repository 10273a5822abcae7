/// A model at work on one text: it takes words and appends their tokens.
protocol TokenModel: WordSink {
  init(_ view: UnsafeTokenizerView, _ pipeline: TokenizerPipeline)
  var output: [Int32] { get set }
}

/// Byte-level and scored BPE.
struct BytePairModel: TokenModel {
  private var encoder: BytePairEncoder
  var output: [Int32] = []

  init(_ view: UnsafeTokenizerView, _ pipeline: TokenizerPipeline) {
    encoder = BytePairEncoder(view)
  }

  @inline(__always)
  mutating func encode(word: UnsafeBufferPointer<UInt8>) { encoder.encode(word, into: &output) }
}

/// Each word is one token.
struct WordLevelModel: TokenModel {
  private let view: UnsafeTokenizerView
  var output: [Int32] = []

  init(_ view: UnsafeTokenizerView, _ pipeline: TokenizerPipeline) { self.view = view }

  mutating func encode(word: UnsafeBufferPointer<UInt8>) {
    let id = view.find(word)
    if id >= 0 {
      output.append(id)
    } else if let unknown = view.layout.unknown {
      output.append(unknown)
    }
  }
}

/// The longest piece first, from the left; a word that cannot be covered is unknown as a whole
/// (Schuster & Nakajima 2012, as in BERT). Complexity: linear, since words above a limit are unknown.
struct WordPieceModel: TokenModel {
  private let unknown: Int32?
  private let trie: SymbolTrie?
  private let continuation: Int
  private let longestWord: Int
  var output: [Int32] = []

  init(_ view: UnsafeTokenizerView, _ pipeline: TokenizerPipeline) {
    unknown = view.layout.unknown
    trie = pipeline.trie
    longestWord = pipeline.longestWord
    // Continuing pieces lie below the node of their prefix.
    var node = 0
    for byte in pipeline.continuingPrefix where node >= 0 {
      node = pipeline.trie?.child(node, byte) ?? -1
    }
    continuation = node
  }

  mutating func encode(word: UnsafeBufferPointer<UInt8>) {
    let start = output.count
    if let trie, isShort(word) {
      var at = 0
      while at < word.count {
        var node = at == 0 ? 0 : continuation
        var index = at
        var best: (id: Int32, end: Int)?
        while node >= 0 && index < word.count {
          node = trie.child(node, word[index])
          index += 1
          if node >= 0, trie.values[node] >= 0 { best = (trie.values[node], index) }
        }
        guard let best else { break }
        output.append(best.id)
        at = best.end
      }
      if at == word.count { return }
    }
    output.removeLast(output.count - start)
    if let unknown { output.append(unknown) }
  }

  private func isShort(_ word: UnsafeBufferPointer<UInt8>) -> Bool {
    if word.count <= longestWord { return true }
    var count = 0
    for byte in word where byte & 0xc0 != 0x80 {
      count += 1
      if count > longestWord { return false }
    }
    return true
  }
}
