import Ember
import EmberTestSupport
import Foundation
import Synchronization
import Testing

/// A checkpoint of the reference data, converted once per test run and recipe.
struct ConvertedModel: Sendable {
  let loaded: LoadedModel

  var model: Model { loaded.model }
  var tokenizer: Tokenizer { loaded.tokenizer }

  private static let folder = ProcessFolder("golden")
  private static let cache = Mutex<[String: ConvertedModel]>([:])

  /// - Parameters:
  ///   - path: below the reference data's folder.
  ///   - outliers: none by default, so that a figure says what blocks alone do.
  static func shared(
    _ path: String, bits: Int, outliers: OutlierBudget = .percent(0), folding: Bool = true,
    tokenizer: String? = nil
  ) throws -> ConvertedModel {
    try convert(
      TestData.shared(path), bits: bits, outliers: outliers, folding: folding,
      tokenizer: tokenizer.map { TestData.shared($0) })
  }

  /// The model that the repository ships.
  static func bundled(bits: Int, outliers: OutlierBudget = .percent(0)) throws -> ConvertedModel {
    try convert(
      TestData.bundled("models/novel-llama"), bits: bits, outliers: outliers, folding: true,
      tokenizer: nil)
  }

  private static func convert(
    _ checkpoint: String, bits: Int, outliers: OutlierBudget, folding: Bool, tokenizer: String?
  ) throws -> ConvertedModel {
    let key = "\(checkpoint) \(bits) \(outliers) \(folding)"
    return try cache.withLock { cache in
      if let known = cache[key] { return known }
      let output = FilePath(folder.url.appending(path: "\(cache.count).ember").path)
      var options = QuantizationOptions(
        bits: bits, outliers: outliers, tokenizer: tokenizer.map { FilePath($0) })
      options.foldsEmergentColumns = folding
      _ = try Converter(checkpoint: FilePath(checkpoint), output: output, options: options).run()
      let converted = ConvertedModel(loaded: try LoadedModel(opening: output))
      cache[key] = converted
      return converted
    }
  }

  /// The `count` likeliest ids one after another.
  func greedy(_ prompt: [Int32], count: Int, threads: Int = 2) throws -> [Int32] {
    let session = try InferenceSession(model: model, threads: threads)
    var logits = try session.append(prompt)
    var ids: [Int32] = []
    while ids.count < count {
      var best = 0
      for i in logits.indices where logits[i] > logits[best] { best = i }
      ids.append(Int32(best))
      if ids.count < count { logits = try session.append([Int32(best)]) }
    }
    return ids
  }

  /// Ids, the top logits and their order, and the greedy text, as the reference has them.
  func expectAgreement(with prompt: NovelReference.Prompt) throws {
    #expect(tokenizer.encode(prompt.prompt) == prompt.ids)
    let session = try InferenceSession(model: model)
    let logits = try session.append(prompt.ids)
    for (id, expected) in zip(prompt.topIDs, prompt.topLogits) {
      #expect(abs(Double(logits[id]) - expected) < 2e-2, "\(prompt.prompt) id \(id)")
    }
    // The same order wherever two neighbours are further apart than twice the tolerance.
    for i in 1..<20 where prompt.topLogits[i - 1] - prompt.topLogits[i] > 4e-2 {
      #expect(logits[prompt.topIDs[i - 1]] > logits[prompt.topIDs[i]])
    }
    let ids = try greedy(prompt.ids, count: prompt.greedyIDs.count)
    if prompt.smallestGap > 5e-3 {
      #expect(ids == prompt.greedyIDs, "\(prompt.prompt)")
      #expect(tokenizer.decode(ids) == prompt.greedyText)
    } else {
      // Rounding alone may decide at the smallest gap; what comes before it must agree.
      #expect(ids.prefix(4) == prompt.greedyIDs.prefix(4), "\(prompt.prompt)")
    }
  }

  /// Perplexity over the windows that the reference figures are made of.
  func perplexity(_ text: String, _ protocol: PerplexityProtocol) throws -> Double {
    let text = try String(contentsOfFile: text, encoding: .utf8)
    return try PerplexityEvaluator(model: model, tokenizer: tokenizer)
      .evaluate(text: text, protocol: `protocol`).perplexity
  }

  /// Perplexity of the first 64 windows of 512 ids of the reference text: `papers` scores ids 2 to
  /// 512 of each, `secondHalf` ids 257 to 512, out of one pass, which is remembered.
  func novelPerplexity() throws -> (papers: Double, secondHalf: Double) {
    let key = model.file.path.string
    if let known = Self.novel.withLock({ $0[key] }) { return known }
    let text = try String(contentsOfFile: TestData.shared("text/test.txt"), encoding: .utf8)
    var windows = PerplexityProtocol.papers(context: 512)
    windows.maximumWindows = 64
    let result = try PerplexityEvaluator(model: model, tokenizer: tokenizer)
      .evaluate(text: text, protocol: windows)
    let losses = result.negativeLogLikelihoods
    try #require(losses.count == 64 * 511)
    let second = losses.indices.filter { $0 % 511 >= 255 }.map { losses[$0] }
    let both = (
      papers: result.perplexity,
      secondHalf: exp(second.reduce(0, +) / Double(second.count))
    )
    Self.novel.withLock { $0[key] = both }
    return both
  }

  private static let novel = Mutex<[String: (papers: Double, secondHalf: Double)]>([:])
}

extension PerplexityProtocol {
  /// Beginning of sequence, then `window` ids, all scored (protocol A of the reference data).
  static func beginning(window: Int, windows: Int) -> Self {
    var protocolA = papers(context: window + 1)
    protocolA.addsBeginOfSequence = true
    protocolA.maximumWindows = windows
    return protocolA
  }
}

func relative(_ value: Double, to reference: Double) -> Double { value / reference - 1 }
