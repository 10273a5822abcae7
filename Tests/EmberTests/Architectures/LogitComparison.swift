/// How far the logits of a model are from transformers'.
struct LogitComparison: Sendable {
  /// From those with keys and values rounded as Ember's cache rounds them.
  private(set) var mean: Float = .infinity
  private(set) var largest: Float = 0
  /// What that rounding changes in transformers itself.
  private(set) var byRounding: Float = 0

  /// - Parameter prompts: the rows of each text of the reference, [texts][tokens][vocabulary].
  init(_ prompts: [[[Float]]], _ reference: ArchitectureReference) {
    var rows: [Row] = []
    for (prompt, text) in zip(prompts, reference.texts) {
      for (index, position) in text.positions.enumerated() {
        rows.append((prompt[position], text.logitsOfHalves[index], text.logits[index]))
      }
    }
    self.init(rows)
  }

  /// One position: what was found, and transformers with and without that rounding.
  typealias Row = (found: [Float], halves: [Float], unrounded: [Float])

  init(_ rows: [Row]) {
    var sum: Float = 0
    var count = 0
    for row in rows {
      sum += zip(row.found, row.halves).reduce(0) { $0 + abs($1.0 - $1.1) }
      count += row.halves.count
      largest = max(largest, Self.largest(row.found, row.halves))
      byRounding = max(byRounding, Self.largest(row.halves, row.unrounded))
    }
    mean = sum / Float(count)
  }

  /// With the same rounding of keys and values, sums in another order are left: 10⁻⁶ of a logit. But
  /// now and then they bring a key or value to the other side of a half's rounding, 2⁻¹¹ of it, and
  /// so the rows behind it show a small part of what all roundings together change. Hence the issue's
  /// figure for the mean, and a quarter of `byRounding` for the largest. (So no logit is further from
  /// the unrounded transformers than 1.25 times what the rounding itself does.)
  var agrees: Bool { mean < 1e-4 && largest < max(1e-4, byRounding / 4) }

  /// The largest difference; what is not a number is infinitely far.
  static func largest(_ a: [Float], _ b: [Float]) -> Float {
    zip(a, b).reduce(a.count == b.count ? 0 : .infinity) {
      let difference = abs($1.0 - $1.1)
      return difference <= $0 ? $0 : difference.isNaN ? .infinity : difference
    }
  }
}
