import EmberGeneration
import Foundation

/// What the softmax of one row of logits needs: log p(i) = logits[i] − logSum.
struct SoftmaxRow {
  let maximum: Float
  /// The most probable token; the lowest id among equals.
  let top: Int
  /// Σ e^(logits[i] − maximum), 1 to [vocabularySize]
  let sum: Double
  let logSum: Double
}

/// Softmax and Kullback–Leibler divergence in double precision.
///
/// Each term is exact to about 4·10⁻¹⁶ and sums run over at most some 10⁵ terms, so a log-probability
/// is right to better than 10⁻¹⁰ nats. Equal logits give equal numbers, and a divergence of exactly 0.
struct LogSoftmax {
  /// [vocabularySize]
  private var exponentials: [Double] = []

  /// nil if a logit is NaN or infinite.
  mutating func measure(_ logits: UnsafeBufferPointer<Float>) -> SoftmaxRow? {
    var maximum = -Float.infinity
    var top = 0
    for i in logits.indices {
      let logit = logits[i]
      if !logit.isFinite { return nil }
      if logit > maximum {
        maximum = logit
        top = i
      }
    }
    if logits.isEmpty { return nil }
    let sum = exponentiate(logits, maximum)
    return SoftmaxRow(
      maximum: maximum, top: top, sum: sum, logSum: Double(maximum) + log(sum))
  }

  /// KL(p ‖ q) = Σ pᵢ (log pᵢ − log qᵢ) in nats, where p and q are the softmaxes of two rows.
  mutating func divergence(
    of p: UnsafeBufferPointer<Float>, _ pRow: SoftmaxRow,
    from q: UnsafeBufferPointer<Float>, _ qRow: SoftmaxRow
  ) -> Double {
    _ = exponentiate(p, pRow.maximum)
    // The logarithms of the sums are the same for all i and leave the sum.
    var sum = 0.0
    for i in p.indices { sum += exponentials[i] * (Double(p[i]) - Double(q[i])) }
    // The divergence is never negative; rounding may make it so by 10⁻¹⁶.
    return max(0, sum / pRow.sum + (qRow.logSum - pRow.logSum))
  }

  /// Fills `exponentials` and returns their sum.
  private mutating func exponentiate(
    _ logits: UnsafeBufferPointer<Float>, _ maximum: Float
  ) -> Double {
    if exponentials.count < logits.count {
      exponentials = [Double](repeating: 0, count: logits.count)
    }
    return exponentials.withUnsafeMutableBufferPointer { exponentials in
      guard let output = exponentials.baseAddress else { return 0 }
      UnsafeExponential.exponentials(logits, minus: maximum, scale: 1, into: output)
      // Four partial sums, so that one addition need not wait for the one before.
      var sums = SIMD4<Double>()
      var i = 0
      while i + 4 <= logits.count {
        sums += SIMD4(output[i], output[i + 1], output[i + 2], output[i + 3])
        i += 4
      }
      var sum = (sums[0] + sums[2]) + (sums[1] + sums[3])
      while i < logits.count {
        sum += output[i]
        i += 1
      }
      return sum
    }
  }
}
