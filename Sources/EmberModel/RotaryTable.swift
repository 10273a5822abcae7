import EmberKernels
import Foundation

/// Cosines and sines of the rotary embedding (Su et al. 2021, section 3.2.2):
/// the angle of pair i at position p is p · base^(−2i / dimensions), or as the scaling has it.
struct RotaryTable: Sendable {
  let dimensions: Int
  let pairing: Architecture.RotaryPairing
  /// What a position is multiplied with, [dimensions / 2].
  private let frequencies: [Double]
  /// What cosines and sines are multiplied with.
  private let factor: Double

  /// - Parameter contextLength: of the session; some scalings depend on it.
  init(
    base: Float, dimensions: Int, pairing: Architecture.RotaryPairing,
    scaling: Architecture.RotaryScaling? = nil, contextLength: Int
  ) {
    self.dimensions = dimensions
    self.pairing = pairing
    let scaled = RotaryFrequencies(
      base: Double(base), dimensions: dimensions, contextLength: contextLength)
    (frequencies, factor) = scaled.scaled(by: scaling)
  }

  /// Writes cosines and then sines of one position, [dimensions].
  func fill(_ turn: UnsafeMutablePointer<Float>, position: Int) {
    let pairs = dimensions / 2
    for i in 0..<pairs {
      let angle = Double(position) * frequencies[i]
      turn[i] = Float(factor * cos(angle))
      turn[pairs + i] = Float(factor * sin(angle))
    }
  }

  /// Rotates one head in place; `turn` is what `fill` wrote for its position.
  func rotate(
    _ head: UnsafeMutablePointer<Float>, by turn: UnsafePointer<Float>, kernels: Kernels
  ) {
    kernels.table.rotate(head, turn, dimensions / 2, pairing == .halves ? 1 : 0)
  }
}
