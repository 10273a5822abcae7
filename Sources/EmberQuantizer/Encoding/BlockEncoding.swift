import CKernels
import EmberFormat
import EmberKernels

/// How a block of weights under one scale becomes integers: its width, the values that codes stand
/// for, and the search for the scale.
///
/// Plain rounding takes the scale that just fits the largest weight. A slightly smaller one clips
/// that weight and serves the others better, or the other way round. So some scales around the
/// fitting one are tried; for the values that each gives, the best scale follows in closed form,
/// d = Σ h·w·q / Σ h·q² (h the importance of a column); the pair that loses least is kept.
protocol BlockEncoding: Sendable {
  /// Weights under one scale.
  var width: Int { get }

  /// Encodes `count` blocks; every pointer has room for that many.
  func encode(
    _ weights: UnsafePointer<Float>, importance: UnsafePointer<Float>, count: Int,
    codes: UnsafeMutablePointer<Int8>, scales: UnsafeMutablePointer<Float>,
    errors: UnsafeMutablePointer<Float>)

  /// What a code stands for, in units of its block's scale.
  func level(_ code: Int8) -> Float
}

/// Blocks of 32 with a half-precision scale each: q4 and q8. The scale is rounded before the
/// integers are chosen for good, so what is measured is what the file will hold.
struct HalfScaleBlocks: BlockEncoding {
  /// The smallest and largest code.
  let lowest: Float
  let highest: Float
  /// Multiples of the fitting inverse scale to try.
  let factors: [Float]
  /// Whether the extreme weight may take either end of the grid. The 4-bit grid −8 ... 7 has one
  /// step more on one side, so it matters there which way round the block lies.
  let bothSigns: Bool

  /// −8 ... 7; seventeen scales either way.
  static let q4 = HalfScaleBlocks(
    lowest: -8, highest: 7, factors: (-8...8).map { 1 + 0.03 * Float($0) }, bothSigns: true)
  /// −127 ... 127; the grid is so fine that only the nearest scales matter.
  static let q8 = HalfScaleBlocks(
    lowest: -127, highest: 127, factors: (-2...2).map { 1 + 0.004 * Float($0) }, bothSigns: false)

  var width: Int { 32 }

  func level(_ code: Int8) -> Float { Float(code) }

  func encode(
    _ weights: UnsafePointer<Float>, importance: UnsafePointer<Float>, count: Int,
    codes: UnsafeMutablePointer<Int8>, scales: UnsafeMutablePointer<Float>,
    errors: UnsafeMutablePointer<Float>
  ) {
    withUnsafeTemporaryAllocation(of: UInt16.self, capacity: count) { halves in
      factors.withUnsafeBufferPointer { factors in
        var grid = ember_grid(
          lowest: lowest, highest: highest, factors: factors.baseAddress,
          factor_count: factors.count, both_signs: bothSigns ? 1 : 0)
        Kernels.best.table.encode(
          weights, importance, count, &grid, codes, halves.baseAddress, errors)
      }
      for block in 0..<count { scales[block] = Half.value(halves[block]) }
    }
  }
}
