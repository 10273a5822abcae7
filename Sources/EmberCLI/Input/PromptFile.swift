import Ember
import Foundation

/// A file with many prompts: one per line, or JSON lines.
struct PromptFile {
  /// A prompt as the user named it.
  struct Prompt: Equatable {
    var text: String
    var id: ID?
  }

  /// What comes back with the result: a text or a whole number.
  enum ID: Codable, Equatable {
    case text(String)
    case number(Int)

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let number = try? container.decode(Int.self) {
        self = .number(number)
      } else {
        self = .text(try container.decode(String.self))
      }
    }

    func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      switch self {
      case .text(let text): try container.encode(text)
      case .number(let number): try container.encode(number)
      }
    }
  }

  let prompts: [Prompt]

  /// - Parameter path: `-` is standard input.
  /// - Throws: `CommandError`
  init(reading path: FilePath) throws {
    let text = try TextInput.fileOrStandardInput(path)
    let name = path == "-" ? "standard input" : path.string
    // By scalars: a carriage return and a newline are one character.
    var lines = text.unicodeScalars.split(
      separator: "\n", omittingEmptySubsequences: false
    ).map { String($0.last == "\r" ? $0.dropLast() : $0) }
    // The newline at the end of the file ends a line and begins none.
    if lines.last == "" { lines.removeLast() }
    let isJSON = path.extension?.lowercased() == "jsonl" || text.unicodeScalars.first == "{"
    prompts =
      isJSON
      ? try Self.parse(lines, name: name) : lines.map { Prompt(text: $0, id: nil) }
    if prompts.isEmpty { throw CommandError.noPrompts(name: name) }
  }

  /// Lines without anything on them are skipped.
  private static func parse(_ lines: [String], name: String) throws -> [Prompt] {
    struct Line: Decodable {
      let prompt: String
      let id: ID?
    }
    let decoder = JSONDecoder()
    return try lines.enumerated().compactMap { index, line in
      if line.allSatisfy(\.isWhitespace) { return nil }
      do {
        let parsed = try decoder.decode(Line.self, from: Data(line.utf8))
        return Prompt(text: parsed.prompt, id: parsed.id)
      } catch {
        throw CommandError.invalidPromptLine(name: name, line: index + 1)
      }
    }
  }
}
