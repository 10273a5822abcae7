import EmberFormat
import EmberModel

/// One file of a comparison, as a picture or a recommendation sees it: a size and a loss.
package struct LossPoint: Sendable, Equatable {
  package let name: String
  package let bytes: Int
  /// Of perplexity, from the first file; 0 for the first itself.
  package let changePercent: Double
  /// Standard error of the change, paired; 0 for the first.
  package let errorPercent: Double

  package init(name: String, bytes: Int, changePercent: Double, errorPercent: Double) {
    self.name = name
    self.bytes = bytes
    self.changePercent = changePercent
    self.errorPercent = errorPercent
  }

  /// Whether no other change is as likely as none: beyond twice its error, 95 times in 100.
  var isMeasurable: Bool { Swift.abs(changePercent) > 2 * errorPercent }

  /// As tables show it: `+0.55 ± 0.14 %`.
  package var change: String {
    let sign = changePercent < 0 ? "−" : "+"
    return sign + Comparison.fixed(Swift.abs(changePercent), 2) + " ± "
      + Comparison.fixed(errorPercent, 2) + " %"
  }
}

extension [LossPoint] {
  /// For each whether it is on the Pareto front: no other is as small and as good, and smaller or
  /// better. As measured; noise is not considered. Files that equal each other in both stand or
  /// fall together.
  package var onParetoFront: [Bool] {
    map { point in
      !contains {
        $0.bytes <= point.bytes && $0.changePercent <= point.changePercent
          && ($0.bytes < point.bytes || $0.changePercent < point.changePercent)
      }
    }
  }
}

extension Comparison {
  /// The rows whose cache is stored as the first one's, in their order: one per file.
  package var points: [LossPoint] {
    pointRows.map { point(rows[$0], name: names[$0]) }
  }

  /// Which rows `points` are of.
  var pointRows: [Int] { rows.indices.filter { rows[$0].cachePrecision == rows[0].cachePrecision } }

  /// For each row whether it is on the Pareto front of those with the same cache precision.
  var onParetoFront: [Bool] {
    var result = [Bool](repeating: false, count: rows.count)
    for precision in Set(rows.map(\.cachePrecision)) {
      let indices = rows.indices.filter { rows[$0].cachePrecision == precision }
      let front = indices.map { point(rows[$0], name: "") }.onParetoFront
      for (index, isOnFront) in zip(indices, front) { result[index] = isOnFront }
    }
    return result
  }

  /// nil where the rows differ.
  var commonCachePrecision: CachePrecision? {
    pointRows.count == rows.count ? rows.first?.cachePrecision : nil
  }

  private func point(_ row: Row, name: String) -> LossPoint {
    LossPoint(
      name: name, bytes: row.fileBytes,
      changePercent: row.divergence?.perplexityChangePercent ?? 0,
      errorPercent: row.divergence?.perplexityChangeErrorPercent ?? 0)
  }

  /// What the files are called: their last path components, or whole paths where files from
  /// different folders share one.
  package var names: [String] {
    let short = rows.map { $0.file.split(separator: "/").last.map(String.init) ?? $0.file }
    return zip(rows, short).map { row, name in
      let isShared = zip(rows, short).contains { $1 == name && $0.file != row.file }
      return OneLine.escape(isShared ? row.file : name)
    }
  }
}
