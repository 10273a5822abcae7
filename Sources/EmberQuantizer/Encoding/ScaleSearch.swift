import EmberKernels

/// A block as integers and a scale: w ≈ scale · code.
struct EncodedBlock {
  /// The scale as the file holds it, and its value.
  var scaleBits: UInt16
  var scale: Float
  /// Integers within the grid.
  var codes: Block
  /// Σ importance · (w − scale · code)²
  var error: Float
}

/// Finds the scale of a block that loses least.
///
/// Plain rounding takes the scale that just fits the largest weight. A slightly smaller one clips
/// that weight and serves the other thirty-one better, or the other way round. So some scales
/// around the fitting one are tried; for the integers that each gives, the best scale follows in
/// closed form, d = Σ h·w·q / Σ h·q² (h the importance of a column); the pair that loses least is
/// kept. The scale is rounded to fp16 before the integers are chosen for good, so what is measured
/// is what the file will hold.
struct ScaleSearch: Sendable {
  /// The smallest and largest code.
  let lowest: Float
  let highest: Float
  /// Multiples of the fitting inverse scale to try.
  let factors: [Float]
  /// Whether the extreme weight may take either end of the grid. The 4-bit grid −8 ... 7 has one
  /// step more on one side, so it matters there which way round the block lies.
  let bothSigns: Bool

  /// −8 ... 7; seventeen scales either way.
  static let q4 = ScaleSearch(
    lowest: -8, highest: 7, factors: (-8...8).map { 1 + 0.03 * Float($0) }, bothSigns: true)
  /// −127 ... 127; the grid is so fine that only the nearest scales matter.
  static let q8 = ScaleSearch(
    lowest: -127, highest: 127, factors: (-2...2).map { 1 + 0.004 * Float($0) }, bothSigns: false)

  /// The best encoding of a block; columns that weigh nothing do not count.
  func encode(_ weights: Block, importance: Block) -> EncodedBlock {
    let extreme = weights.extreme
    guard extreme != 0 else {
      return EncodedBlock(scaleBits: 0, scale: 0, codes: .zero, error: 0)
    }
    let weighted = weights * importance
    var bestGain: Float = -1
    var bestScale: Float = 0
    func consider(_ inverse: Float) {
      let codes = (weights * inverse).rounded(from: lowest, through: highest)
      let product = (weighted * codes).sum()
      let square = (codes * codes * importance).sum()
      // The error is Σ h·w² − (Σ h·w·q)² / Σ h·q²: the second term is what the scale gains.
      let gain = square > 0 ? product * product / square : 0
      if gain > bestGain {
        bestGain = gain
        bestScale = square > 0 ? product / square : 0
      }
    }
    for factor in factors {
      consider(factor * lowest / extreme)
      if bothSigns { consider(-factor * lowest / extreme) }
    }
    return encode(weights, importance: importance, scale: bestScale)
  }

  /// The encoding with a given scale, rounded to fp16.
  private func encode(_ weights: Block, importance: Block, scale: Float) -> EncodedBlock {
    let bits = Half.bits(min(max(scale, -65_504), 65_504))
    let rounded = Half.value(bits)
    // The inverse of a subnormal half still is a finite float; zero stays zero.
    let codes =
      rounded == 0
      ? Block.zero : (weights * (1 / rounded)).rounded(from: lowest, through: highest)
    let loss = weights - codes * rounded
    return EncodedBlock(
      scaleBits: bits, scale: rounded, codes: codes, error: (loss * loss * importance).sum())
  }
}
