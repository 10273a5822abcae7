/// Turns the words of one text into tokens by merging neighbours, lowest rank first, leftmost of
/// equals first (Sennrich et al. 2016; for scored vocabularies, SentencePiece's and llama2.c's order).
///
/// Complexity: O(n log n) in the length of a word; short words, which are nearly all, are merged in a
/// plain array instead. Scratch memory is that of the longest word, and kept from word to word.
struct BytePairEncoder {
  private let view: UnsafeTokenizerView
  private let ignoresMerges: Bool
  private var ids: [Int32] = []
  private var ranks: [UInt32] = []
  private var results: [Int32] = []
  private var next: [Int32] = []
  private var previous: [Int32] = []
  private var queue = MinimumQueue()

  /// Up to here the scan for the lowest rank beats the queue.
  private static let shortWord = 32

  init(_ view: UnsafeTokenizerView) {
    self.view = view
    ignoresMerges = view.layout.options.contains(.ignoresMerges)
  }

  /// Appends the tokens of one word of valid UTF-8.
  mutating func encode(_ word: UnsafeBufferPointer<UInt8>, into output: inout [Int32]) {
    let whole = view.find(word)
    if whole >= 0 && (ignoresMerges || view.flags(whole).contains(.whole)) {
      output.append(whole)
      return
    }
    merge(word, into: &output)
  }

  /// The same without the short cut for words that are one token.
  mutating func merge(_ word: UnsafeBufferPointer<UInt8>, into output: inout [Int32]) {
    // Symbols are numbered with 32 bits below; a word that long is cut, in no way that matters.
    let limit = 1 << 30
    var start = 0
    while start < word.count {
      var end = min(word.count, start + limit)
      while end < word.count && word[end] & 0xc0 == 0x80 { end += 1 }
      firstSymbols(UnsafeBufferPointer(rebasing: word[start..<end]))
      if ids.count <= Self.shortWord { mergeShort() } else { mergeLong() }
      output.append(contentsOf: ids)
      start = end
    }
  }

  private mutating func firstSymbols(_ word: UnsafeBufferPointer<UInt8>) {
    ids.removeAll(keepingCapacity: true)
    let unknown = view.layout.unknown ?? -1
    let fuses = view.layout.options.contains(.fusesUnknown)
    switch view.layout.model {
    case .byteLevelBPE:
      var afterUnknown = false
      for byte in word {
        let id = view.byteToken(byte)
        if id >= 0 {
          ids.append(id)
        } else if unknown >= 0 && !(fuses && afterUnknown) {
          ids.append(unknown)
        }
        // A byte without a token, in a vocabulary without an unknown token, is left out: what
        // Hugging Face's implementation does.
        afterUnknown = id < 0
      }
    case .scoredBPE, .unigram, .wordPiece, .wordLevel:
      var afterUnknown = false
      var index = 0
      while index < word.count {
        let end = min(word.count, index + UTF8Decoding.byteCount(lead: word[index]))
        let character = UnsafeBufferPointer(rebasing: word[index..<end])
        let id = view.find(character)
        if id >= 0 {
          ids.append(id)
        } else if view.byteToken(0) >= 0, character.allSatisfy({ view.byteToken($0) >= 0 }) {
          for byte in character { ids.append(view.byteToken(byte)) }
        } else {
          if unknown >= 0 && !(fuses && afterUnknown) { ids.append(unknown) }
          afterUnknown = true
          index = end
          continue
        }
        afterUnknown = false
        index = end
      }
    }
  }

  private mutating func mergeShort() {
    ranks.removeAll(keepingCapacity: true)
    results.removeAll(keepingCapacity: true)
    for index in ids.indices.dropLast() {
      let found = view.merge(ids[index], ids[index + 1])
      ranks.append(found.rank)
      results.append(found.result)
    }
    while true {
      var best = 0
      var lowest = UInt32.max
      for index in ranks.indices where ranks[index] < lowest {
        lowest = ranks[index]
        best = index
      }
      if lowest == .max { return }
      ids[best] = results[best]
      ids.remove(at: best + 1)
      ranks.remove(at: best)
      results.remove(at: best)
      if best > 0 { lookUp(best - 1) }
      if best < ranks.count { lookUp(best) }
    }
  }

  @inline(__always)
  private mutating func lookUp(_ index: Int) {
    let found = view.merge(ids[index], ids[index + 1])
    ranks[index] = found.rank
    results[index] = found.result
  }

  /// Symbols in a linked list, candidates in a queue. A candidate may be stale when its turn comes:
  /// then its pair has another rank by now, or its symbol is gone (id -1).
  private mutating func mergeLong() {
    let count = ids.count
    next.removeAll(keepingCapacity: true)
    previous.removeAll(keepingCapacity: true)
    queue.removeAll()
    for index in 0..<count {
      next.append(index + 1 < count ? Int32(index + 1) : -1)
      previous.append(Int32(index - 1))
      enqueue(index)
    }
    while let (rank, left) = queue.popMinimum() {
      guard ids[left] >= 0, next[left] >= 0 else { continue }
      let right = Int(next[left])
      let found = view.merge(ids[left], ids[right])
      guard found.rank == rank else { continue }
      ids[left] = found.result
      ids[right] = -1
      next[left] = next[right]
      if next[left] >= 0 { previous[Int(next[left])] = Int32(left) }
      if previous[left] >= 0 { enqueue(Int(previous[left])) }
      enqueue(left)
    }
    ids.removeAll { $0 < 0 }
  }

  @inline(__always)
  private mutating func enqueue(_ left: Int) {
    guard next[left] >= 0 else { return }
    let rank = view.merge(ids[left], ids[Int(next[left])]).rank
    if rank < .max { queue.insert(rank: rank, position: left) }
  }
}
