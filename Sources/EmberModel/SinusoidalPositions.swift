import Foundation

/// Positions as sines and cosines of falling frequencies (Vaswani et al. 2017, section 3.5): the first
/// half of the elements are sines, the second cosines, as in Marian.
struct SinusoidalPositions: Sendable {
  private let width: Int
  /// What a position is multiplied with, [⌈width / 2⌉].
  private let frequencies: [Double]

  init(width: Int) {
    self.width = width
    frequencies = (0..<(width + 1) / 2).map { 1 / pow(10_000, Double(2 * $0) / Double(width)) }
  }

  /// stream += what stands for the position.
  func add(position: Int, to stream: UnsafeMutablePointer<Float>) {
    let half = frequencies.count
    for i in 0..<half {
      let angle = Double(position) * frequencies[i]
      stream[i] += Float(sin(angle))
      if half + i < width { stream[half + i] += Float(cos(angle)) }
    }
  }
}
