import Foundation

extension Comparison {
  /// The comparison as a table. Speed and memory appear where any row has them, the bits of the
  /// key/value cache where they differ.
  public func rendered(as style: TextTable.Style) -> String {
    table.rendered(as: style)
  }

  /// File size in MB (10⁶ bytes), KL divergence in nats.
  public var table: TextTable {
    let hasSpeed = rows.contains { $0.tokensPerSecond != nil }
    let hasMemory = rows.contains { $0.peakMemoryBytes != nil }
    let hasCaches = commonCachePrecision == nil
    var header = ["model"]
    if hasCaches { header.append("cache") }
    header += [
      "MB", "bits/weight", "file", "perplexity", "change", "KL mean", "KL median",
      "KL 99 %", "KL max", "same top",
    ]
    if hasSpeed { header.append("tokens/s") }
    if hasMemory { header.append("peak MB") }
    return TextTable(
      header: header,
      rows: zip(rows, names).map { row, name in
        var cells = [name]
        if hasCaches { cells.append(row.cachePrecision.rawValue) }
        cells += row.cells
        if hasSpeed { cells.append(row.tokensPerSecond.map { Self.fixed($0, 1) } ?? "–") }
        if hasMemory { cells.append(row.peakMemoryBytes.map(Self.megabytes) ?? "–") }
        return cells
      })
  }

  static func fixed(_ value: Double, _ digits: Int) -> String {
    String(format: "%.\(digits)f", value)
  }

  static func megabytes(_ bytes: Int) -> String { fixed(Double(bytes) / 1e6, 2) }
}

extension Comparison.Row {
  /// From the size to the agreement.
  fileprivate var cells: [String] {
    let cost = [
      Comparison.megabytes(fileBytes), Comparison.fixed(bitsPerWeight, 2),
      Comparison.fixed(fileBitsPerWeight, 2),
      Comparison.fixed(perplexity, 4) + " ± " + Comparison.fixed(perplexityStandardError, 4),
    ]
    guard let divergence else {
      return cost + [String](repeating: "–", count: 6)
    }
    let change = divergence.perplexityChangePercent
    let error = Comparison.fixed(divergence.perplexityChangeErrorPercent, 2)
    let divergences = [
      divergence.mean, divergence.median, divergence.percentile99, divergence.maximum,
    ]
    return cost + [(change < 0 ? "" : "+") + Comparison.fixed(change, 2) + " ± \(error) %"]
      + divergences.map { Comparison.fixed($0, 5) }
      + [Comparison.fixed(divergence.topTokenAgreementPercent, 2) + " %"]
  }
}
