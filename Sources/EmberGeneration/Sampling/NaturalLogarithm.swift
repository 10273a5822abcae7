/// The natural logarithm by basic operations alone, so that it has the same bits on every platform,
/// which those of C libraries have not.
enum NaturalLogarithm {
  static let ofTwo = 0.693_147_180_559_945_3

  /// ln x of a positive finite number, right to 4·10⁻¹⁶ of the larger of 1 and the result.
  ///
  /// x = m · 2ᵉ with m in √½ ..< √2, and ln m = 2 artanh s with s = (m − 1) / (m + 1), |s| < 0.172:
  /// the terms of the series behind s²³ are below 10⁻¹⁹.
  static func of(_ x: Double) -> Double {
    var (m, e) = (x.significand, Double(x.exponent))
    if m > 1.414_213_562_373_095 {
      m /= 2
      e += 1
    }
    let s = (m - 1) / (m + 1)
    let square = s * s
    var sum = 0.0
    for k in stride(from: 23, through: 1, by: -2) { sum = sum * square + 1 / Double(k) }
    return e * ofTwo + 2 * s * sum
  }
}
