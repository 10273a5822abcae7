import Ember
import Foundation

/// A file with sources and targets: JSON lines, or two columns with a tab between them.
struct PairFile {
  let pairs: [TextPair]
  let name: String
  let byteCount: Int
  /// Of the file, in hexadecimal.
  let sha256: String

  /// Lines without anything on them are skipped.
  ///
  /// - Parameter path: `-` is standard input.
  /// - Throws: `CommandError`, `EvaluationError.noPairs`
  init(reading path: FilePath) throws {
    let text = try TextInput.fileOrStandardInput(path)
    let shown = path == "-" ? "standard input" : path.string
    name = path.lastComponent?.string ?? shown
    byteCount = text.utf8.count
    sha256 = SHA256.hexadecimal(of: text)
    let isJSON = path.extension?.lowercased() == "jsonl" || text.unicodeScalars.first == "{"
    var pairs: [TextPair] = []
    // By scalars: a carriage return and a newline are one character.
    for (index, line) in text.unicodeScalars.split(
      separator: "\n", omittingEmptySubsequences: false
    ).enumerated() {
      let line = String(line.last == "\r" ? line.dropLast() : line)
      if line.allSatisfy(\.isWhitespace) { continue }
      guard let pair = isJSON ? Self.parse(line) : Self.split(line) else {
        throw CommandError.invalidPairLine(name: shown, line: index + 1)
      }
      pairs.append(pair)
    }
    if pairs.isEmpty { throw EvaluationError.noPairs }
    self.pairs = pairs
  }

  private static func parse(_ line: String) -> TextPair? {
    struct Line: Decodable {
      let source: String
      let target: String
    }
    let parsed = try? JSONDecoder().decode(Line.self, from: Data(line.utf8))
    return parsed.map { TextPair(source: $0.source, target: $0.target) }
  }

  private static func split(_ line: String) -> TextPair? {
    let columns = line.split(separator: "\t", omittingEmptySubsequences: false)
    return columns.count == 2
      ? TextPair(source: String(columns[0]), target: String(columns[1])) : nil
  }
}
