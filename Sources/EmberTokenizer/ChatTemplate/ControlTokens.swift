/// The names of a tokenizer's control tokens, to be found in a text.
struct ControlTokens {
  /// A step in the tree of names: from a node by a byte to a node.
  private var steps: [UInt64: Int32] = [:]
  /// Of each node: whether a name ends there.
  private var endsName = [false]

  init(_ tokenizer: Tokenizer) {
    for id in 0..<Int32(clamping: tokenizer.vocabularySize) where tokenizer.isSpecial(id) {
      insert(tokenizer.bytes(of: id))
    }
  }

  private mutating func insert(_ name: [UInt8]) {
    guard !name.isEmpty else { return }
    var node: Int32 = 0
    for byte in name {
      let step = Self.step(node, byte)
      if let next = steps[step] {
        node = next
      } else {
        node = Int32(clamping: endsName.count)
        steps[step] = node
        endsName.append(false)
      }
    }
    endsName[Int(node)] = true
  }

  private static func step(_ node: Int32, _ byte: UInt8) -> UInt64 {
    UInt64(UInt32(bitPattern: node)) << 8 | UInt64(byte)
  }

  /// Where names that begin at `start` end, the shortest first.
  func ends(in bytes: [UInt8], from start: Int) -> [Int] {
    var ends: [Int] = []
    var node: Int32 = 0
    var index = start
    while index < bytes.count, let next = steps[Self.step(node, bytes[index])] {
      node = next
      index += 1
      if endsName[Int(node)] { ends.append(index) }
    }
    return ends
  }
}
