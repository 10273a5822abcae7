/// Which positions of a layer that sees only a window are kept, of a text that goes on.
package struct CacheWindow {
  /// Positions that a token sees, its own included.
  package let length: Int

  package init(length: Int) { self.length = length }

  /// Positions that a text can take back and go on from, whatever was released meanwhile: more than
  /// a draft has tokens.
  package static let rewindRoom = 128
  /// Positions are released so many at a time.
  static let stride = 64

  /// The first position that is kept when the next token will stand at `position`: the window's
  /// first, less what a text may take back, a multiple of the stride.
  package func firstKept(at position: Int) -> Int {
    let first = position + 1 - length - Self.rewindRoom
    return first > 0 ? first / Self.stride * Self.stride : 0
  }

  /// Whether a token at `position` finds its window where all before `first` are gone.
  package func isWhole(at position: Int, from first: Int) -> Bool {
    first == 0 || first <= position + 1 - length
  }

  /// Positions that are kept at most, of so many, in steps of so many tokens.
  package func mostKept(of positions: Int, stepLength: Int) -> Int {
    min(positions, length + Self.rewindRoom + Self.stride + stepLength)
  }
}
