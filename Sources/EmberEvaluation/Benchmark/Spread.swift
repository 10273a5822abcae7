/// Repeated measurements of one thing: their median, and how far they lie apart.
package struct Spread: Sendable, Equatable {
  /// The middle one; the mean of the two in the middle where their number is even.
  package let median: Double
  package let minimum: Double
  package let maximum: Double

  /// nil where there are none.
  package init?(_ values: [Double]) {
    let ascending = values.sorted()
    guard let first = ascending.first, let last = ascending.last else { return nil }
    median = SampleStatistics.quantile(ascending, 0.5)
    minimum = first
    maximum = last
  }
}

extension Spread {
  /// The median under `key`, then the range.
  func fields(_ key: String) -> [ReportField] {
    [
      (key, .number(median)),
      ("\(key)_minimum", .number(minimum)),
      ("\(key)_maximum", .number(maximum)),
    ]
  }

  /// The median, and the range such as `1.2 – 1.4`: two cells of a table.
  func words(_ text: (Double) -> String) -> [String] {
    [text(median), "\(text(minimum)) – \(text(maximum))"]
  }
}
