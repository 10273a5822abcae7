import CKernels
import EmberKernels

/// How the scale of a block is found: the grid of integers, and the scales to try.
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

  /// Encodes `count` blocks of 32 weights; every pointer has room for that many.
  func encode(
    _ weights: UnsafePointer<Float>, importance: UnsafePointer<Float>, count: Int,
    codes: UnsafeMutablePointer<Int8>, scales: UnsafeMutablePointer<UInt16>,
    errors: UnsafeMutablePointer<Float>
  ) {
    factors.withUnsafeBufferPointer { factors in
      var grid = ember_grid(
        lowest: lowest, highest: highest, factors: factors.baseAddress,
        factor_count: factors.count, both_signs: bothSigns ? 1 : 0)
      Kernels.best.table.encode(weights, importance, count, &grid, codes, scales, errors)
    }
  }
}
