import Ember

/// Several texts of one prompt and how they came about.
struct SeveralTextsReport: Encodable {
  struct Text: Encodable {
    var ids: [Int32]
    var text: String
    var stopReason: TextGenerator.StopReason
    /// Of samples: reproduces the text.
    var seed = Nullable<UInt64>(nil)
    /// Of beams: log p, divided by the length's power.
    var score = Nullable<Double>(nil)

    init(
      ids: [Int32], text: String, stopReason: TextGenerator.StopReason, seed: UInt64? = nil,
      score: Double? = nil
    ) {
      self.ids = ids
      self.text = text
      self.stopReason = stopReason
      self.seed = Nullable(seed)
      self.score = Nullable(score)
    }
  }

  /// `samples`, `beams` or `contrastive`
  var strategy: String
  /// That the samples' seeds are made of.
  var seed: UInt64
  var promptTokens = 0
  var texts: [Text] = []
  /// Of all texts.
  var generatedTokens = 0
  var seconds = 0.0
  var threads = 0
  var contextLength = 0
  var peakMemoryBytes = 0
  var keyValueCacheBytes = 0

  init(strategy: String, seed: UInt64) {
    self.strategy = strategy
    self.seed = seed
  }

  mutating func finish(seconds: Double, session: ParallelSession) {
    generatedTokens = texts.reduce(0) { $0 + $1.ids.count }
    self.seconds = seconds
    threads = session.decodeThreadCount
    contextLength = session.contextLength
    peakMemoryBytes = ProcessMemory.peak
    keyValueCacheBytes = session.cacheBytes
  }

  /// The texts one under the other; a line before each where there are several.
  func blocks(prompt: String) -> String {
    var blocks = ""
    for (index, text) in texts.enumerated() {
      let note =
        text.seed.value.map { ", seed \($0)" } ?? text.score.value.map {
          ", score \(Format.fixed($0, 4))"
        } ?? ""
      if texts.count > 1 { blocks += "--- \(index + 1) of \(texts.count)\(note)\n" }
      blocks += prompt + text.text
      if !blocks.hasSuffix("\n") { blocks += "\n" }
    }
    return blocks
  }

  func statistics(_ session: ParallelSession) -> String {
    let speed = seconds > 0 ? Double(generatedTokens) / seconds : 0
    var lines = [(String, String)]()
    if strategy == "samples" { lines.append(("seed", "\(seed)")) }
    lines += [
      ("prompt", "\(promptTokens) tokens"),
      (
        "texts",
        "\(texts.count), \(generatedTokens) tokens in \(Format.fixed(seconds, 1)) s:"
          + " \(Format.fixed(speed, 1)) tokens/s on \(threads) thread\(threads == 1 ? "" : "s"),"
          + " \(session.sequenceCount) sequence\(session.sequenceCount == 1 ? "" : "s") at a time"
      ),
    ]
    if texts.count == 1 {
      lines.append(("stopped", texts[0].stopReason.words(contextLength: contextLength)))
    }
    lines.append(
      (
        "memory",
        "\(Format.shortBytes(peakMemoryBytes)) peak; key/value caches"
          + " \(Format.shortBytes(keyValueCacheBytes)), scratch"
          + " \(Format.shortBytes(session.scratchBytes))"
      ))
    return Listing.rendered(lines)
  }
}
