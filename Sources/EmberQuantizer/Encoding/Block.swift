/// Thirty-two neighbouring weights of a row, as two vectors of sixteen.
struct Block {
  var low: SIMD16<Float>
  var high: SIMD16<Float>

  static let count = 32
  static let zero = Block(low: SIMD16(repeating: 0), high: SIMD16(repeating: 0))
  static let ones = Block(low: SIMD16(repeating: 1), high: SIMD16(repeating: 1))

  init(low: SIMD16<Float>, high: SIMD16<Float>) {
    self.low = low
    self.high = high
  }

  /// The `count` values at `pointer`, zeros behind them.
  init(_ pointer: UnsafePointer<Float>, count: Int) {
    self = .zero
    for i in 0..<min(count, 32) { self[i] = pointer[i] }
  }

  subscript(index: Int) -> Float {
    get { index < 16 ? low[index] : high[index - 16] }
    set { if index < 16 { low[index] = newValue } else { high[index - 16] = newValue } }
  }

  /// Σ f over both halves, lane by lane.
  func sum() -> Float { (low + high).sum() }

  static func * (a: Block, b: Block) -> Block { Block(low: a.low * b.low, high: a.high * b.high) }
  static func * (a: Block, b: Float) -> Block { Block(low: a.low * b, high: a.high * b) }
  static func - (a: Block, b: Block) -> Block { Block(low: a.low - b.low, high: a.high - b.high) }

  /// Nearest integers, ties to even, within bounds. Adding 1.5 · 2^23 leaves no fraction bits; it
  /// is right for |x| < 2^22, and the clamp comes first.
  func rounded(from lowest: Float, through highest: Float) -> Block {
    func round(_ v: SIMD16<Float>) -> SIMD16<Float> {
      let magic: Float = 12_582_912
      return
        (v.clamped(lowerBound: .init(repeating: lowest), upperBound: .init(repeating: highest))
        + magic) - magic
    }
    return Block(low: round(low), high: round(high))
  }

  /// The value that is largest in size, with its sign; 0 in an empty block.
  var extreme: Float {
    let top = max(low.max(), high.max())
    let bottom = min(low.min(), high.min())
    return top >= -bottom ? top : bottom
  }

  /// The index of the value that is largest in size.
  var indexOfExtreme: Int {
    let value = extreme
    for i in 0..<32 where self[i] == value { return i }
    return 0
  }

  var indexOfMaximum: Int {
    var best = 0
    for i in 1..<32 where self[i] > self[best] { best = i }
    return best
  }
}
