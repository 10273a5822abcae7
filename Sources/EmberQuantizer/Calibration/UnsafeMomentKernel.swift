import CKernels
import EmberKernels

/// The inner loops of Σ x xᵀ, on panels of sixteen columns.
///
/// A panel holds sixteen neighbouring columns of a chunk of tokens, [tokens][16], so that a block of
/// 16 × 16 products reads two panels front to back. Products and sums are rounded one by one, in the
/// order of the tokens, so that every kernel gives the same bits.
package struct UnsafeMomentKernel: Sendable {
  package let name: String
  /// block[16][16] += Σ over the tokens of left[token][i] · right[token][j]
  ///
  /// In single precision within the chunk; the chunk's sum is added in double precision.
  let multiply:
    @Sendable (
      _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, _ tokens: Int,
      _ block: UnsafeMutablePointer<Double>
    ) -> Void

  /// Swift's vector types: what every processor of the kind has.
  package static let portable = UnsafeMomentKernel(name: "portable") {
    multiplyPortably($0, $1, tokens: $2, into: $3)
  }

  /// Every kernel that this machine can run, the fastest last.
  package static let available: [UnsafeMomentKernel] = {
    var kernels = [portable]
    if ember_supports_avx2() != 0 {
      kernels.append(
        UnsafeMomentKernel(name: "avx2") { ember_moment_block_avx2($0, $1, $2, $3) })
    }
    return kernels
  }()

  /// The one that goes with a table of kernels.
  package static func beside(_ kernels: Kernels) -> UnsafeMomentKernel {
    let isPortable = [Kernels.scalar.name, Kernels.portable.name].contains(kernels.name)
    return isPortable ? portable : available.last ?? portable
  }

  static let width = 16

  /// Copies columns `first ..< first + 16` of a chunk, zeros behind the last column, and takes in
  /// their squares and maxima.
  ///
  /// - Parameters:
  ///   - x: the first vector; vectors lie `stride` floats apart and have `columns`.
  ///   - panel: [tokens][16]
  ///   - squares: [16], increased by the chunk's Σ x²
  ///   - maxima: [16]
  static func pack(
    _ x: UnsafePointer<Float>, stride: Int, tokens: Int, columns: Int, first: Int,
    panel: UnsafeMutablePointer<Float>, squares: UnsafeMutablePointer<Double>,
    maxima: UnsafeMutablePointer<Float>
  ) {
    let count = min(width, columns - first)
    var sum = SIMD16<Float>.zero
    var largest = UnsafeRawPointer(maxima).loadUnaligned(as: SIMD16<Float>.self)
    for t in 0..<tokens {
      let source = x + t * stride + first
      let target = panel + t * width
      for i in 0..<count { target[i] = source[i] }
      for i in count..<width { target[i] = 0 }
      let values = UnsafeRawPointer(target).loadUnaligned(as: SIMD16<Float>.self)
      sum += values * values
      // By bits: the size of a number that is not one is larger than any other's.
      let sizes = SIMD16<Float>(
        bitPattern: SIMD16<UInt32>(bitPattern: values) & SIMD16(repeating: 0x7FFF_FFFF))
      largest = SIMD16<Float>(
        bitPattern: pointwiseMax(
          SIMD16<UInt32>(bitPattern: largest), SIMD16<UInt32>(bitPattern: sizes)))
    }
    for i in 0..<width {
      squares[i] += Double(sum[i])
      maxima[i] = largest[i]
    }
  }

  private static func multiplyPortably(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, tokens: Int,
    into block: UnsafeMutablePointer<Double>
  ) {
    for row in Swift.stride(from: 0, to: width, by: 4) {
      for column in Swift.stride(from: 0, to: width, by: 8) {
        var sum0 = SIMD8<Float>.zero
        var sum1 = SIMD8<Float>.zero
        var sum2 = SIMD8<Float>.zero
        var sum3 = SIMD8<Float>.zero
        var a = left + row
        var b = UnsafeRawPointer(right + column)
        for _ in 0..<tokens {
          let values = b.loadUnaligned(as: SIMD8<Float>.self)
          sum0 += values * a[0]
          sum1 += values * a[1]
          sum2 += values * a[2]
          sum3 += values * a[3]
          a += width
          b += 4 * width
        }
        let target = block + row * width + column
        add(sum0, to: target)
        add(sum1, to: target + width)
        add(sum2, to: target + 2 * width)
        add(sum3, to: target + 3 * width)
      }
    }
  }

  @inline(__always)
  private static func add(_ sums: SIMD8<Float>, to target: UnsafeMutablePointer<Double>) {
    for i in 0..<8 { target[i] += Double(sums[i]) }
  }
}

extension SIMD16<Float> {
  @inline(__always)
  fileprivate init(bitPattern: SIMD16<UInt32>) {
    self = unsafeBitCast(bitPattern, to: SIMD16<Float>.self)
  }
}

extension SIMD16<UInt32> {
  @inline(__always)
  fileprivate init(bitPattern: SIMD16<Float>) {
    self = unsafeBitCast(bitPattern, to: SIMD16<UInt32>.self)
  }
}
