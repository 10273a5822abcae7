import EmberKernels

/// The filters that look at surprise, −log p, and not at the order of the probabilities alone.
///
/// With x = (logit − maximum) / temperature and Z = Σ eˣ, the surprise of a token is ln Z − x, in
/// nats.
extension Candidates {
  /// Keeps the smallest set of candidates that have `share` of the probability and whose surprise is
  /// nearest to the entropy; those as near as the last of them, too.
  ///
  /// The entropy is the mean surprise, ln Z − mean x, so that the distance from it is |mean x − x|,
  /// without a logarithm.
  mutating func keepTypical(share: Float) {
    var (sum, total) = (0.0, 0.0)
    for place in 0..<count {
      let weight = Double(weight(at: place))
      if weight == 0 { continue }
      sum += weight * Double(exponent(at: place))
      total += weight
    }
    // NaN where nothing is left: then nothing is typical, and nothing can be drawn either.
    let mean = sum / total
    keep(share: share) { candidates, place in
      // What a filter before has dropped comes last.
      candidates.weight(at: place) == 0
        ? -.greatestFiniteMagnitude : -Float(abs(mean - Double(candidates.exponent(at: place))))
    }
  }

  /// Leaves out candidates of more surprise than this, in bits, but never the most probable.
  mutating func dropSurprising(above limit: Double) {
    let exponent = logarithmOfTotal - limit * NaturalLogarithm.ofTwo
    drop(belowExponent: min(0, exponent))
  }

  /// Of a candidate that is left, among all that are, in bits.
  func surprise(at place: Int) -> Double {
    (logarithmOfTotal - Double(exponent(at: place))) / NaturalLogarithm.ofTwo
  }

  /// ln Z of those that are left.
  private var logarithmOfTotal: Double {
    // A unit is 2⁻³⁶.
    NaturalLogarithm.of(Double(max(1, totalUnits)) * 0x1p-36)
  }
}
