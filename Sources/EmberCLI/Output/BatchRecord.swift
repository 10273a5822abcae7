import Ember
import EmberFormat
import Foundation

/// The result of one prompt of many: a line of JSON, the same bytes whenever it is computed.
struct BatchRecord: Codable, Equatable {
  /// Of the prompt, from 0.
  var index: Int
  var id: PromptFile.ID?
  var promptSHA256: String
  /// `--seed` with it and `--prompt` makes the same text.
  var seed: UInt64
  var promptTokens: Int?
  var generatedTokens: Int
  var stopReason: TextGenerator.StopReason?
  /// nil where there is an error.
  var text: String?
  var error: String?
  var options: Options

  /// All that the texts of a run depend on, beside the prompts.
  struct Options: Codable, Equatable {
    /// Of the model file's content.
    var model: String
    /// What the prompts' seeds are made of.
    var seed: UInt64
    var temperature: Float
    var topK: Int
    var topP: Float
    var minP: Float
    var repetitionPenalty: Float
    var maxTokens: Int
    var stop: [String]
    var ignoreEnd: Bool
    var context: Int
    var cacheBits: String
    /// All other options of decoding as a command line would have them; nil where they are off.
    var decoding: String?

    enum CodingKeys: String, CodingKey, CaseIterable {
      case model, seed, temperature, stop, context, decoding
      case topK = "top_k"
      case topP = "top_p"
      case minP = "min_p"
      case repetitionPenalty = "repetition_penalty"
      case maxTokens = "max_tokens"
      case ignoreEnd = "ignore_end"
      case cacheBits = "cache_bits"
    }

    /// What is not known is null, not missing.
    func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(model, forKey: .model)
      try container.encode(seed, forKey: .seed)
      try container.encode(temperature, forKey: .temperature)
      try container.encode(topK, forKey: .topK)
      try container.encode(topP, forKey: .topP)
      try container.encode(minP, forKey: .minP)
      try container.encode(repetitionPenalty, forKey: .repetitionPenalty)
      try container.encode(maxTokens, forKey: .maxTokens)
      try container.encode(stop, forKey: .stop)
      try container.encode(ignoreEnd, forKey: .ignoreEnd)
      try container.encode(context, forKey: .context)
      try container.encode(cacheBits, forKey: .cacheBits)
      try container.encode(Nullable(decoding), forKey: .decoding)
    }

    /// Names and values, as an error shows them.
    private var words: [(name: String, value: String)] {
      [
        ("the model's content", model), ("--seed", "\(seed)"),
        ("--temperature", "\(temperature)"), ("--top-k", "\(topK)"), ("--top-p", "\(topP)"),
        ("--min-p", "\(minP)"), ("--repetition-penalty", "\(repetitionPenalty)"),
        ("--max-tokens", "\(maxTokens)"), ("--stop", "\(stop)"),
        ("--ignore-end", "\(ignoreEnd)"), ("--context", "\(context)"),
        ("--cache-bits", "\(cacheBits)"), ("as other options", decoding ?? "none"),
      ]
    }

    /// The first that differs.
    func difference(from found: Options) -> (name: String, expected: String, found: String)? {
      for (mine, other) in zip(words, found.words) where mine.value != other.value {
        return (mine.name, mine.value, other.value)
      }
      return nil
    }
  }

  enum CodingKeys: String, CodingKey {
    case index, id, seed, text, error, options
    case promptSHA256 = "prompt_sha256"
    case promptTokens = "prompt_tokens"
    case generatedTokens = "generated_tokens"
    case stopReason = "stop_reason"
  }

  init(_ result: ParallelGenerator.Result, of prompt: PromptFile.Prompt, options: Options) {
    index = result.index
    id = prompt.id
    promptSHA256 = SHA256.hexadecimal(of: prompt.text)
    seed = result.seed
    self.options = options
    switch result.text {
    case .success(let text):
      promptTokens = text.promptTokens
      generatedTokens = text.ids.count
      stopReason = text.stopReason
      self.text = text.text
    case .failure(let error):
      generatedTokens = 0
      self.error = "\(error)"
    }
  }

  /// What is not known is null, not missing.
  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(index, forKey: .index)
    try container.encode(Nullable(id), forKey: .id)
    try container.encode(promptSHA256, forKey: .promptSHA256)
    try container.encode(seed, forKey: .seed)
    try container.encode(Nullable(promptTokens), forKey: .promptTokens)
    try container.encode(generatedTokens, forKey: .generatedTokens)
    try container.encode(Nullable(stopReason), forKey: .stopReason)
    try container.encode(Nullable(text), forKey: .text)
    try container.encode(Nullable(error), forKey: .error)
    try container.encode(options, forKey: .options)
  }

  /// With the newline.
  var line: String {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }
  }
}
