import EmberKernels
import Foundation

/// Cosines and sines of the rotary embedding (Su et al. 2021, section 3.2.2):
/// the angle of pair i at position p is p · base^(−2i / dimensions).
struct RotaryTable: Sendable {
  let dimensions: Int
  let pairing: Architecture.RotaryPairing
  /// base^(−2i / dimensions), [dimensions / 2]
  private let frequencies: [Double]

  init(base: Float, dimensions: Int, pairing: Architecture.RotaryPairing) {
    self.dimensions = dimensions
    self.pairing = pairing
    frequencies = (0..<dimensions / 2).map {
      pow(Double(base), -2 * Double($0) / Double(dimensions))
    }
  }

  /// Writes cosines and then sines of one position, [dimensions].
  func fill(_ turn: UnsafeMutablePointer<Float>, position: Int) {
    let pairs = dimensions / 2
    for i in 0..<pairs {
      let angle = Double(position) * frequencies[i]
      turn[i] = Float(cos(angle))
      turn[pairs + i] = Float(sin(angle))
    }
  }

  /// Rotates one head in place; `turn` is what `fill` wrote for its position.
  func rotate(
    _ head: UnsafeMutablePointer<Float>, by turn: UnsafePointer<Float>, kernels: Kernels
  ) {
    kernels.table.rotate(head, turn, dimensions / 2, pairing == .halves ? 1 : 0)
  }
}
