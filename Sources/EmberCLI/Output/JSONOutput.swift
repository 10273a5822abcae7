import Foundation

/// Results as JSON: keys in snake case and sorted, documented in `docs/json.md`.
enum JSONOutput {
  static func write(_ value: some Encodable) throws {
    try StandardOutput.write(text(value) + "\n")
  }

  /// - Parameter indentation: spaces before every line but the first.
  static func text(_ value: some Encodable, indentation: Int = 0) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    // JSON has no such numbers; a broken model should still give a report.
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    let text = String(decoding: try encoder.encode(value), as: UTF8.self)
    // Inside texts a line's end is escaped, so every one found is between the parts.
    return indentation == 0
      ? text
      : text.split(separator: "\n").joined(
        separator: "\n" + String(repeating: " ", count: indentation))
  }
}
