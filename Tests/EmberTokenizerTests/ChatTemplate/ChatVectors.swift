import EmberTestSupport
import EmberTokenizer
import Foundation

/// What transformers renders: `tools/fixtures/make_chat_vectors.py` writes it.
struct ChatVectors: Decodable {
  /// Variables of templates by name, as JSON objects in text.
  var data: [String: String]
  var vectors: [Vector]

  struct Vector: Decodable {
    /// A file beside the vectors, without its ending; else `source` is the template.
    var template: String?
    var source: String?
    /// Which of the variables.
    var data: String
    var more: Variables
    /// nil where rendering fails.
    var output: String?
    /// The template's own message, where it refuses the conversation.
    var refusal: String?

    var name: String { template.map { "\($0), \(data)" } ?? source ?? "" }
  }

  struct Variables: Codable {
    var bosToken: String?
    var eosToken: String?
    var addGenerationPrompt: Bool
  }

  /// 2026-07-26, noon: the date that the vectors were made for.
  static let clock = TemplateClock(secondsSince1970: 1_785_067_200)

  static func path(_ file: String) -> URL {
    URL(filePath: TestData.bundled("Tests/EmberTokenizerTests/fixtures/chat/\(file)"))
  }

  static func load(_ file: String) throws -> ChatVectors {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(ChatVectors.self, from: Data(contentsOf: path(file)))
  }

  static func template(_ name: String) throws -> String {
    String(decoding: try Data(contentsOf: path("\(name).jinja")), as: UTF8.self)
  }

  func render(_ vector: Vector) throws -> String {
    let text = try vector.template.map(Self.template) ?? vector.source ?? ""
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    let more = String(decoding: try encoder.encode(vector.more), as: UTF8.self)
    let variables = more.dropLast() + "," + (data[vector.data] ?? "").dropFirst()
    return try ChatTemplate(text).render(json: String(variables), clock: Self.clock).string
  }
}
