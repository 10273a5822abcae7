import Foundation

/// A range of values along a range of pixels, with ticks at round numbers.
package struct Axis: Sendable {
  package let values: ClosedRange<Double>
  /// Where the lower and the upper bound lie; the first may be the larger, as y counts downwards.
  package let pixels: (Double, Double)
  /// 1, 2 or 5 times a power of ten.
  package let step: Double

  /// - Parameter ticks: at most how many, at least 2.
  package init(_ values: ClosedRange<Double>, pixels: (Double, Double), ticks: Int) {
    let length = values.upperBound - values.lowerBound
    let usable = length.isFinite && length > 0
    self.values = usable ? values : 0...1
    self.pixels = pixels
    let least = (usable ? length : 1) / Double(max(2, ticks))
    let power = pow(10, log10(least).rounded(.down))
    step = ([1, 2, 5].first { $0 * power >= least * (1 - 1e-9) } ?? 10) * power
  }

  /// The pixel of a value; values outside the range lie outside the pixels.
  package func position(_ value: Double) -> Double {
    let share = (value - values.lowerBound) / (values.upperBound - values.lowerBound)
    return pixels.0 + share * (pixels.1 - pixels.0)
  }

  /// Multiples of `step` inside the range, ascending.
  package var ticks: [Double] {
    let first = (values.lowerBound / step - 1e-9).rounded(.up)
    let last = (values.upperBound / step + 1e-9).rounded(.down)
    guard first <= last else { return [] }
    // Adding 0 turns −0 into 0.
    return stride(from: first, through: last, by: 1).map { $0 * step + 0 }
  }

  /// A tick as text, with as many decimals as the step needs.
  package func text(_ tick: Double) -> String {
    let decimals = max(0, min(9, Int(-log10(step).rounded(.down))))
    return String(format: "%.\(decimals)f", tick)
  }
}
