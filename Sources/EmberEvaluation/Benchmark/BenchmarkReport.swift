import Foundation

/// A value of a report; the same in JSON and in CSV.
package enum ReportValue: Sendable, Equatable {
  case text(String)
  case integer(Int)
  /// nil is `null` in JSON and empty in CSV.
  case number(Double?)
}

/// A key, as `docs/json.md` lists it, and its value.
package typealias ReportField = (key: String, value: ReportValue)

/// A benchmark's result: what was measured on, and a row per measurement. Written once as fields,
/// it comes out as Markdown, CSV or JSON.
package protocol BenchmarkReport: Encodable {
  /// What all measurements have in common.
  var summary: [ReportField] { get }
  /// Every row has the same keys.
  var measurements: [[ReportField]] { get }
  /// The same figures to read, one block after another.
  var blocks: [MarkdownBlock] { get }
}

/// A part of a report in Markdown.
package enum MarkdownBlock: Sendable {
  case paragraph(String)
  case table(TextTable)
}

extension BenchmarkReport {
  /// Paragraphs and tables, with an empty line between them.
  package var markdown: String {
    blocks.map { block in
      switch block {
      // A file's name may have line ends.
      case .paragraph(let text): text.map { $0.isNewline ? " " : String($0) }.joined() + "\n"
      case .table(let table): table.rendered(as: .markdown)
      }
    }.joined(separator: "\n")
  }

  /// RFC 4180, with a line of keys; the summary's fields stand in every row.
  package var csv: String {
    guard let first = measurements.first else { return "" }
    let rows = measurements.map { (summary + $0).map(\.value.csv) }
    return ([(summary + first).map(\.key)] + rows)
      .map { $0.joined(separator: ",") + "\n" }.joined()
  }

  /// The summary's fields, and the rows in `results`.
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: ReportKey.self)
    for field in summary { try container.encode(field.value, forKey: ReportKey(field.key)) }
    var rows = container.nestedUnkeyedContainer(forKey: ReportKey("results"))
    for row in measurements {
      var container = rows.nestedContainer(keyedBy: ReportKey.self)
      for field in row { try container.encode(field.value, forKey: ReportKey(field.key)) }
    }
  }

  var machineWords: String {
    "\(Machine.processor), \(Machine.processorCount) processors"
  }

}

/// Numbers as reports show them.
enum BenchmarkText {
  static func fixed(_ value: Double, _ decimals: Int) -> String {
    String(format: "%.\(decimals)f", value)
  }

  /// Three digits or all before the point: `0.0123`, `12.3`, `1234`.
  static func significant(_ value: Double) -> String {
    let decimals = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 4
    return fixed(value, decimals)
  }

  /// `12.3`, or a dash for what is not known.
  static func optional(_ value: Double?, _ decimals: Int) -> String {
    value.map { fixed($0, decimals) } ?? "–"
  }
}

private struct ReportKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(_ key: String) { stringValue = key }
  init?(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

extension ReportValue: Encodable {
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .text(let text): try container.encode(text)
    case .integer(let integer): try container.encode(integer)
    case .number(let number): try container.encode(number)
    }
  }

  fileprivate var csv: String {
    switch self {
    case .text(let text):
      // A quote inside is doubled; quotes are only needed where a separator might be.
      text.contains { $0 == "," || $0 == "\"" || $0.isNewline }
        ? "\""
          + text.split(separator: "\"", omittingEmptySubsequences: false)
          .joined(separator: "\"\"") + "\"" : text
    case .integer(let integer): "\(integer)"
    case .number(let number): number.map { "\($0)" } ?? ""
    }
  }
}
