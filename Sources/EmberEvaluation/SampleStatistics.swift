/// Mean, error and quantiles of a sample.
package struct SampleStatistics: Sendable {
  package let mean: Double
  /// Standard error of the mean: √(Σ(x − mean)² / (n − 1) / n); 0 for fewer than two values.
  package let standardError: Double

  package init(_ values: [Double]) {
    let count = Double(max(1, values.count))
    mean = values.reduce(0, +) / count
    var squares = 0.0
    for value in values { squares += (value - mean) * (value - mean) }
    standardError = values.count < 2 ? 0 : (squares / (count - 1) / count).squareRoot()
  }

  /// The quantile at `share` (0 ... 1) of ascending values, linear between neighbours (the
  /// definition of numpy's default); 0 of none.
  package static func quantile(_ ascending: [Double], _ share: Double) -> Double {
    guard let last = ascending.last else { return 0 }
    let place = share * Double(ascending.count - 1)
    let index = Int(place)
    if index + 1 >= ascending.count { return last }
    return ascending[index] + (place - Double(index)) * (ascending[index + 1] - ascending[index])
  }
}
