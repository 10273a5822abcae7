import EmberTestSupport
import Foundation

/// What transformers says of a fixture, in fp32 with eager attention.
struct ArchitectureReference: Sendable {
  /// Token ids; each text is the first `length` of them.
  let ids: [Int32]
  /// The fixture that has the weights.
  let weights: String
  let texts: [Text]

  struct Text: Sendable {
    let length: Int
    /// Of the session: where a rotary scaling depends on a length, Ember takes the context's, for
    /// all tokens, and transformers that of the text so far. They agree on a prompt as long as the
    /// context, and that is what is compared.
    let context: Int
    let positions: [Int]
    /// [positions][vocabulary], and the same with keys and values rounded as a cache of halves does.
    let logits: [[Float]]
    let logitsOfHalves: [[Float]]
  }

  init(_ checkpoint: ArchitectureCheckpoint) throws {
    struct File: Decodable {
      struct Text: Decodable {
        let length: Int
        let context: Int
        let positions: [Int]
      }
      let weights: String
      let vocabulary: Int
      let ids: [Int32]
      let texts: [Text]
    }
    let file = try JSONDecoder().decode(
      File.self, from: Data(contentsOf: checkpoint.source.appending(path: "reference.json")))
    let data = try Data(contentsOf: checkpoint.source.appending(path: "reference.bin"))
    var place = data.startIndex
    func rows(_ count: Int) -> [[Float]] {
      (0..<count).map { _ in
        (0..<file.vocabulary).map { _ in
          defer { place += 4 }
          return Float(
            bitPattern: data[place..<place + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) })
        }
      }
    }
    ids = file.ids
    weights = file.weights
    texts = file.texts.map { text in
      Text(
        length: text.length, context: text.context, positions: text.positions,
        logits: rows(text.positions.count), logitsOfHalves: rows(text.positions.count))
    }
  }
}
