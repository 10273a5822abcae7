import Foundation

/// Results as JSON: keys in snake case and sorted, documented in `docs/json.md`.
enum JSONOutput {
  static func write(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    // JSON has no such numbers; a broken model should still give a report.
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    let text = String(decoding: try encoder.encode(value), as: UTF8.self)
    try StandardOutput.write(text + "\n")
  }
}
