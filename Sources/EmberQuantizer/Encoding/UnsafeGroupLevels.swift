import CKernels
import EmberFormat
import EmberKernels

/// Groups of 16 under scales that are multiples of the row's: q4n, q5 and q6.
///
/// q4n's sixteen levels lie closer together near zero, where most weights are. They were fitted to
/// the weights of real models (coordinate descent on the error after the search for scales) within
/// 7 bits, so that two products of a level and an activation's code fit into 16 bits.
final class GroupLevels: BlockEncoding, @unchecked Sendable {
  // Sendable because nothing changes after the initializer.

  let width = 16
  private let lowest: Float
  /// The levels and what lies halfway between them; the integers have none.
  private let values: UnsafeMutablePointer<Float>?
  private let middles: UnsafeMutablePointer<Float>?
  private let factors: UnsafeMutablePointer<Float>
  private var levels: ember_levels

  static let q4n = GroupLevels(
    uneven: MatrixType.q4nGrid.map { Float($0) - 32 }, step: 0.05, tries: 4)
  static let q5 = GroupLevels(lowest: -16, highest: 15, step: 0.03, tries: 3)
  static let q6 = GroupLevels(lowest: -32, highest: 31, step: 0.015, tries: 3)

  static func of(_ type: BlockType) -> GroupLevels? {
    switch type {
    case .q4n: q4n
    case .q5: q5
    case .q6: q6
    case .f32, .f16, .q8, .q4: nil
    }
  }

  private convenience init(uneven: [Float], step: Float, tries: Int) {
    let values = UnsafeMutablePointer<Float>.allocate(capacity: uneven.count)
    let middles = UnsafeMutablePointer<Float>.allocate(capacity: uneven.count - 1)
    for (i, level) in uneven.enumerated() { (values + i).initialize(to: level) }
    for i in 0..<uneven.count - 1 {
      (middles + i).initialize(to: (values[i] + values[i + 1]) / 2)
    }
    self.init(
      lowest: values[0], highest: values[uneven.count - 1], step: step, tries: tries,
      values: values, middles: middles)
  }

  /// - Parameters:
  ///   - step: between the multiples of the fitting inverse scale that are tried.
  ///   - tries: multiples above 1, and as many below.
  private init(
    lowest: Float, highest: Float, step: Float, tries: Int,
    values: UnsafeMutablePointer<Float>? = nil, middles: UnsafeMutablePointer<Float>? = nil
  ) {
    self.lowest = lowest
    self.values = values
    self.middles = middles
    factors = .allocate(capacity: 2 * tries + 1)
    for i in -tries...tries { (factors + i + tries).initialize(to: 1 + step * Float(i)) }
    levels = ember_levels(
      lowest: lowest, highest: highest, values: values, middles: middles, factors: factors,
      factor_count: 2 * tries + 1)
  }

  deinit {
    values?.deallocate()
    middles?.deallocate()
    factors.deallocate()
  }

  func level(_ code: Int8) -> Float { values?[Int(code)] ?? Float(code) + lowest }

  func encode(
    _ weights: UnsafePointer<Float>, importance: UnsafePointer<Float>, count: Int,
    codes: UnsafeMutablePointer<Int8>, scales: UnsafeMutablePointer<Float>,
    errors: UnsafeMutablePointer<Float>
  ) {
    var levels = self.levels
    Kernels.best.table.search_groups(weights, importance, count, &levels, scales)
    round(
      weights, importance: importance, count: count, scales: scales, codes: codes, errors: errors)
  }

  /// Chooses the codes at given scales.
  func round(
    _ weights: UnsafePointer<Float>, importance: UnsafePointer<Float>, count: Int,
    scales: UnsafePointer<Float>, codes: UnsafeMutablePointer<Int8>,
    errors: UnsafeMutablePointer<Float>
  ) {
    var levels = self.levels
    codes.withMemoryRebound(to: UInt8.self, capacity: 16 * count) { codes in
      Kernels.best.table.round_groups(weights, importance, count, &levels, scales, codes, errors)
    }
  }

  /// Of 16 numbers in units of their scales, the nearest levels and their codes.
  func nearest(_ numbers: SIMD16<Float>) -> (codes: SIMD16<Int32>, levels: SIMD16<Float>) {
    guard let values, let middles else {
      let rounded = numbers.clamped(
        lowerBound: SIMD16(repeating: levels.lowest), upperBound: SIMD16(repeating: levels.highest)
      ).rounded(.toNearestOrEven)
      return (SIMD16<Int32>(rounded - lowest), rounded)
    }
    var codes = SIMD16<Int32>(repeating: 0)
    var nearest = SIMD16<Float>(repeating: values[0])
    for i in 0..<15 {
      let above = numbers .> middles[i]
      codes.replace(with: Int32(i + 1), where: above)
      nearest.replace(with: values[i + 1], where: above)
    }
    return (codes, nearest)
  }
}
