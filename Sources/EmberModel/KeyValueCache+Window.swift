/// What becomes of positions that local layers no longer see.
extension KeyValueCache {
  /// Gives back the memory of what no token from `position` on will see in local layers, nor any
  /// that is computed after a few are taken back.
  package func release(behind position: Int) {
    if let window { release(before: window.firstKept(at: position)) }
  }

  /// Whether the next token could stand at `position`, of a text that was longer.
  func canGoOn(at position: Int) -> Bool {
    window?.isWhole(at: position, from: firstKept) ?? true
  }

  /// The same, where what a text of so many positions keeps is all there is.
  func canGoOn(at position: Int, ofText positions: Int) -> Bool {
    window?.isWhole(at: position, from: firstKept(of: positions)) ?? true
  }

  /// Makes room for another text.
  package func startAnew() {
    guard firstKept > 0 else { return }
    release(0..<positions)
    firstKept = 0
  }

  /// The first position that local layers have to keep of a text of so many; 0 where there are none.
  func firstKept(of positions: Int) -> Int { window?.firstKept(at: positions) ?? 0 }

  /// Whether a layer has anything at these positions that is of use for a text of so many.
  func keeps(_ range: Range<Int>, layer: Int, of positions: Int) -> Bool {
    !isLocal[layer] || range.upperBound > firstKept(of: positions)
  }

  /// Takes the positions of local layers before `first` for gone.
  func release(before first: Int) {
    guard first > firstKept else { return }
    release(firstKept..<first)
    firstKept = first
  }

  private func release(_ range: Range<Int>) {
    for layer in 0..<layerCount where isLocal[layer] {
      for head in 0..<headCount {
        forEachPart(layer: layer, head: head) { start, bytes in
          let part = UnsafeMutableRawBufferPointer(start: start, count: bytes * range.upperBound)
          memory.release(part, from: bytes * range.lowerBound)
        }
      }
    }
  }
}
