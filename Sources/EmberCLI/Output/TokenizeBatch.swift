import Ember
import Foundation

/// JSON strings in, a line each; ids and decoded text out, for comparing with other implementations.
enum TokenizeBatch {
  private struct Answer: Encodable {
    var ids: [Int32]
    var text: String
  }

  static func run(_ tokenizer: Tokenizer) throws {
    let decoder = JSONDecoder()
    let encoder = JSONEncoder()
    for line in try TextInput.standardInput().utf8.split(separator: UInt8(ascii: "\n")) {
      let text = try decoder.decode(String.self, from: Data(line))
      let ids = tokenizer.encode(text)
      let answer = try encoder.encode(Answer(ids: ids, text: tokenizer.decode(ids)))
      try StandardOutput.write(String(decoding: answer, as: UTF8.self) + "\n")
    }
  }
}
