import CKernels
import EmberKernels

/// The inner loops of `ErrorFeedback`, on tiles of 64 × 64.
///
/// Products and differences are rounded one by one, in ascending order of the summed index, so that
/// every kernel gives the same bits.
package struct UnsafeFeedbackKernel: Sendable {
  package let name: String
  /// c[i][j] -= Σ over k of a[k][i] · b[k][j], tiles in panels of eight columns, [8][64][8].
  package let multiply:
    @Sendable (
      _ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>, _ c: UnsafeMutablePointer<Double>
    ) -> Void
  /// weights[columns[c]][lane] -= Σ over r of factor[r][c] · errors[r][lane]
  ///
  /// Shapes: factor [64][64], errors [64][16], columns [64], weights [any][16].
  package let feedBack:
    @Sendable (
      _ factor: UnsafePointer<Float>, _ errors: UnsafePointer<Float>,
      _ columns: UnsafePointer<UInt32>, _ weights: UnsafeMutablePointer<Float>
    ) -> Void

  /// Swift's vector types: what every processor of the kind has.
  package static let portable = UnsafeFeedbackKernel(
    name: "portable", multiply: { multiplyPortably($0, $1, into: $2) },
    feedBack: { feedBackPortably($0, $1, columns: $2, weights: $3) })

  /// Every kernel that this machine can run, the fastest last.
  package static let available: [UnsafeFeedbackKernel] = {
    var kernels = [portable]
    if ember_supports_avx2() != 0 {
      kernels.append(
        UnsafeFeedbackKernel(
          name: "avx2", multiply: { ember_factor_tile_avx2($0, $1, $2) },
          feedBack: { ember_feedback_tile_avx2($0, $1, $2, $3) }))
    }
    return kernels
  }()

  /// The one that goes with a table of kernels.
  package static func beside(_ kernels: Kernels) -> UnsafeFeedbackKernel {
    let isPortable = [Kernels.scalar.name, Kernels.portable.name].contains(kernels.name)
    return isPortable ? portable : available.last ?? portable
  }

  /// Rows and columns of a tile.
  package static let width = 64
  /// Elements of a tile.
  package static let tileSize = width * width
  /// Rows that are rounded side by side.
  package static let lanes = 16

  private static func multiplyPortably(
    _ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>, into c: UnsafeMutablePointer<Double>
  ) {
    for half in 0..<16 {
      // Four columns: eight sums in all fit into the registers of every processor.
      let start = half / 2 * 512 + half % 2 * 4
      for row in stride(from: 0, to: width, by: 4) {
        let target = UnsafeMutableRawPointer(c + start + row * 8)
        var sum0 = target.loadUnaligned(as: SIMD4<Double>.self)
        var sum1 = target.loadUnaligned(fromByteOffset: 64, as: SIMD4<Double>.self)
        var sum2 = target.loadUnaligned(fromByteOffset: 128, as: SIMD4<Double>.self)
        var sum3 = target.loadUnaligned(fromByteOffset: 192, as: SIMD4<Double>.self)
        var left = a + row / 8 * 512 + row % 8
        var right = UnsafeRawPointer(b + start)
        for _ in 0..<width {
          let values = right.loadUnaligned(as: SIMD4<Double>.self)
          sum0 -= values * left[0]
          sum1 -= values * left[1]
          sum2 -= values * left[2]
          sum3 -= values * left[3]
          left += 8
          right += 64
        }
        target.storeBytes(of: sum0, as: SIMD4<Double>.self)
        target.storeBytes(of: sum1, toByteOffset: 64, as: SIMD4<Double>.self)
        target.storeBytes(of: sum2, toByteOffset: 128, as: SIMD4<Double>.self)
        target.storeBytes(of: sum3, toByteOffset: 192, as: SIMD4<Double>.self)
      }
    }
  }

  private static func feedBackPortably(
    _ factor: UnsafePointer<Float>, _ errors: UnsafePointer<Float>,
    columns: UnsafePointer<UInt32>, weights: UnsafeMutablePointer<Float>
  ) {
    for column in stride(from: 0, to: width, by: 4) {
      for half in stride(from: 0, to: lanes, by: 8) {
        let target0 = UnsafeMutableRawPointer(weights + lanes * Int(columns[column]) + half)
        let target1 = UnsafeMutableRawPointer(weights + lanes * Int(columns[column + 1]) + half)
        let target2 = UnsafeMutableRawPointer(weights + lanes * Int(columns[column + 2]) + half)
        let target3 = UnsafeMutableRawPointer(weights + lanes * Int(columns[column + 3]) + half)
        var sum0 = target0.loadUnaligned(as: SIMD8<Float>.self)
        var sum1 = target1.loadUnaligned(as: SIMD8<Float>.self)
        var sum2 = target2.loadUnaligned(as: SIMD8<Float>.self)
        var sum3 = target3.loadUnaligned(as: SIMD8<Float>.self)
        var row = factor + column
        var error = UnsafeRawPointer(errors + half)
        for _ in 0..<width {
          let values = error.loadUnaligned(as: SIMD8<Float>.self)
          sum0 -= values * row[0]
          sum1 -= values * row[1]
          sum2 -= values * row[2]
          sum3 -= values * row[3]
          row += width
          error += 4 * lanes
        }
        target0.storeBytes(of: sum0, as: SIMD8<Float>.self)
        target1.storeBytes(of: sum1, as: SIMD8<Float>.self)
        target2.storeBytes(of: sum2, as: SIMD8<Float>.self)
        target3.storeBytes(of: sum3, as: SIMD8<Float>.self)
      }
    }
  }
}
