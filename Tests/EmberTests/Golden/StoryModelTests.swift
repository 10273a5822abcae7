import Ember
import EmberTestSupport
import Foundation
import Testing

/// What an independent implementation (numpy, fp32) says of one llama2.c model.
private struct Reference: Decodable {
  let prompt: String
  let promptIDs: [Int32]
  /// Pairs of id and logit after the prompt.
  let top: [[Double]]
  /// Prompt and continuation.
  let greedyIDs: [Int32]
  let greedyText: String

  enum CodingKeys: String, CodingKey {
    case prompt
    case promptIDs = "prompt_ids"
    case top = "last_position_top20"
    case greedyIDs = "greedy_ids"
    case greedyText = "greedy_text"
  }

  static func read(_ model: String) throws -> Reference {
    let url = URL(filePath: TestData.shared("\(model)/reference_logits.json"))
    return try JSONDecoder().decode(Reference.self, from: Data(contentsOf: url))
  }
}

/// A llama2.c model of the reference data, and its figures in protocol A.
struct StoryModel: Sendable, CustomStringConvertible {
  let folder: String
  let checkpoint: String
  let tokenizer: String
  let window: Int
  let windows: Int
  let fp32: Double
  let roundToNearest: Double

  var description: String { folder }

  func converted(bits: Int, outliers: OutlierBudget = .percent(0)) throws -> ConvertedModel {
    try ConvertedModel.shared(
      "\(folder)/\(checkpoint)", bits: bits, outliers: outliers,
      tokenizer: "\(folder)/\(tokenizer)")
  }

  static let all = [
    StoryModel(
      folder: "stories260K", checkpoint: "stories260K.bin", tokenizer: "tok512.bin", window: 511,
      windows: 32, fp32: 4.000090, roundToNearest: 4.5961),
    StoryModel(
      folder: "babyllama", checkpoint: "model5000.bin", tokenizer: "tok105.bin", window: 255,
      windows: 64, fp32: 2.291779, roundToNearest: 2.4260),
  ]
}

// The reference data stands beside the project's own checkouts only.
@Suite("llama2.c models against run.c and numpy", .enabled(if: TestData.hasShared), .serialized)
struct StoryModelTests {
  @Test("logits and greedy text at 16 bits", arguments: StoryModel.all)
  func logits(story: StoryModel) throws {
    let reference = try Reference.read(story.folder)
    let converted = try story.converted(bits: 16)
    #expect(converted.tokenizer.encode(reference.prompt) == reference.promptIDs)
    let session = try InferenceSession(model: converted.model)
    let logits = try session.append(reference.promptIDs)
    let top = reference.top
    for pair in top { #expect(abs(Double(logits[Int(pair[0])]) - pair[1]) < 2e-2) }
    for (higher, lower) in zip(top, top.dropFirst()) where higher[1] - lower[1] > 4e-2 {
      #expect(logits[Int(higher[0])] > logits[Int(lower[0])])
    }
    let count = reference.greedyIDs.count - reference.promptIDs.count
    let greedy = try converted.greedy(reference.promptIDs, count: count)
    #expect(reference.promptIDs + greedy == reference.greedyIDs)
    #expect(converted.tokenizer.decode(reference.promptIDs + greedy) == reference.greedyText)
  }

  @Test("every logit of the fixed prompt", arguments: StoryModel.all)
  func allLogits(story: StoryModel) throws {
    let reference = try Reference.read(story.folder)
    let file = try Data(
      contentsOf: URL(filePath: TestData.shared("\(story.folder)/reference_logits_full.npy")))
    // numpy's format, version 1: magic, version, a little-endian header length, header, floats.
    let header = 10 + Int(file[8]) + Int(file[9]) << 8
    let expected = file[header...].withUnsafeBytes { bytes in
      (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
    }
    let converted = try story.converted(bits: 16)
    let size = converted.model.architecture.vocabularySize
    #expect(expected.count == reference.promptIDs.count * size)
    let session = try InferenceSession(model: converted.model)
    try session.append(reference.promptIDs) { position, logits in
      for id in 0..<size {
        #expect(abs(logits[id] - expected[position * size + id]) < 2e-2)
      }
    }
  }

  @Test("run.c's texts, with and without a prompt")
  func texts() throws {
    let converted = try StoryModel.all[0].converted(bits: 16)
    for (file, prompt) in [
      ("expected_greedy_noprompt_n200.txt", ""),
      ("expected_greedy_prompt2.txt", "Tom and Jane went to the park."),
    ] {
      let expected = try String(
        contentsOfFile: TestData.shared("stories260K/\(file)"), encoding: .utf8)
      let ids = converted.tokenizer.encode(prompt)
      let greedy = try converted.greedy(ids, count: 260 - ids.count)
      let text = converted.tokenizer.decode(ids + greedy)
      // The files end after run.c's last step and a line feed; ours goes on.
      let trimmed = expected.hasSuffix("\n") ? String(expected.dropLast()) : expected
      #expect(trimmed.utf8.count > 400)
      #expect(text.hasPrefix(trimmed), "\(text)")
    }
  }

  @Test("the .bin and the Hugging Face folder give the same text")
  func sameModelTwice() throws {
    let story = StoryModel.all[0]
    let folder = try ConvertedModel.shared(
      "stories260K", bits: 16, tokenizer: "stories260K/tok512.bin")
    let prompt = try Reference.read(story.folder).promptIDs
    let fromFolder = try folder.greedy(prompt, count: 100)
    #expect(try story.converted(bits: 16).greedy(prompt, count: 100) == fromFolder)
  }

  @Test("perplexity at 16, 8 and 4 bits", arguments: StoryModel.all)
  func perplexity(story: StoryModel) throws {
    let text = TestData.shared("text/tinystories.txt")
    let windows = PerplexityProtocol.beginning(window: story.window, windows: story.windows)
    func perplexity(_ bits: Int, _ outliers: OutlierBudget = .percent(0)) throws -> Double {
      try story.converted(bits: bits, outliers: outliers).perplexity(text, windows)
    }
    let full = try perplexity(16)
    #expect(abs(relative(full, to: story.fp32)) < 5e-4, "\(full)")
    let eight = try perplexity(8, .automatic)
    #expect(abs(relative(eight, to: story.fp32)) < 3e-3, "\(eight)")
    let four = try perplexity(4)
    #expect(four <= story.roundToNearest, "\(four)")
    let fourWithOutliers = try perplexity(4, .percent(1.6))
    #expect(fourWithOutliers < four, "\(fourWithOutliers), without \(four)")
  }
}
