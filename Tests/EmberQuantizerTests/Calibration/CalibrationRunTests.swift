import EmberModel
import EmberQuantizer
import EmberTestSupport
import Foundation
import SystemPackage
import Testing

/// Runs of the calibrator over small checkpoints that the tests write themselves.
struct CalibrationRunTests {
  /// 31 letters, and the space that the tokenizer puts before them: two windows of 16.
  static let text = "abcdefabcadbecfddeadbeefcafebab"

  static func collect(
    _ checkpoint: CalibrationCheckpoint, _ text: String = text,
    _ options: CalibrationOptions = CalibrationOptions()
  ) throws -> [CalibrationSite: SecondMoments] {
    var result: [CalibrationSite: SecondMoments] = [:]
    try Calibrator(checkpoint: checkpoint.path, options: options).run(text: text) {
      site, moments in
      #expect(result.updateValue(moments, forKey: site) == nil)
    }
    return result
  }

  /// Σ logit² over a text is hᵀ (Σ x xᵀ) h for the row h of the head: what the calibrator says of
  /// the head's inputs must fit what a session computes with the same weights.
  @Test func agreesWithASession() throws {
    let checkpoint = try CalibrationCheckpoint()
    let output = checkpoint.file("model.f16")
    _ = try Converter(
      checkpoint: checkpoint.path, output: output, options: QuantizationOptions(bits: 16)
    ).run()
    let moments = try #require(try Self.collect(checkpoint)[.head])

    let model = try Model(opening: output)
    let session = try InferenceSession(model: model, threads: 1)
    let letters = [" "] + Self.text.map(String.init)
    let pieces = ["<unk>", "<s>", "</s>", " ", "a", "b", "c", "d", "e", "f"]
    let ids = letters.compactMap { letter in pieces.firstIndex(of: letter).map { Int32($0) } }
    #expect(ids.count == 32)
    var sums = [Double](repeating: 0, count: pieces.count)
    for start in [0, 16] {
      session.truncate(to: 0)
      try session.append(Array(ids[start..<start + 16])) { _, logits in
        for (i, logit) in logits.enumerated() { sums[i] += Double(logit) * Double(logit) }
      }
    }
    let width = CalibrationCheckpoint.width
    var row = [Float](repeating: 0, count: width)
    for (id, sum) in sums.enumerated() {
      row.withUnsafeMutableBufferPointer { row in
        if let base = row.baseAddress { model.weights.head.weight.copyRow(id, to: base) }
      }
      var form = 0.0
      for i in 0..<width {
        for j in 0..<width {
          form += Double(row[i]) * Double(row[j]) * Double(moments.product(i, j))
        }
      }
      #expect(abs(form - sum) <= 1e-4 * sum)
    }
  }

  @Test func everySiteOnce() throws {
    let checkpoint = try CalibrationCheckpoint()
    var order: [String] = []
    let summary = try Calibrator(checkpoint: checkpoint.path).run(text: Self.text) {
      site, moments in
      order.append(site.name)
      #expect(moments.tokenCount == 32)
      #expect(moments.products != nil)
      #expect(moments.squares.allSatisfy { $0 > 0 })
    }
    #expect(
      order == [
        "layers.0.attention.query", "layers.0.attention.output", "layers.0.feed_forward.up",
        "layers.0.feed_forward.down", "layers.1.attention.query", "layers.1.attention.output",
        "layers.1.feed_forward.up", "layers.1.feed_forward.down", "head",
      ])
    #expect(summary.windowCount == 2 && summary.text.tokenCount == 32)
    #expect(summary.text.windowLength == 16 && !summary.text.addsBeginOfSequence)
    #expect(summary.text.sha256.count == 64)
  }

  @Test func neitherThreadsNorStorageMatter() throws {
    let checkpoint = try CalibrationCheckpoint()
    let once = try Self.collect(checkpoint, Self.text, CalibrationOptions(threads: 1))
    #expect(try Self.collect(checkpoint, Self.text, CalibrationOptions(threads: 3)) == once)
    var options = CalibrationOptions(threads: 2)
    options.statesInMemory = 0
    #expect(try Self.collect(checkpoint, Self.text, options) == once)
  }

  @Test func diagonalIsThatOfTheFullMatrix() throws {
    let checkpoint = try CalibrationCheckpoint()
    let full = try Self.collect(checkpoint)
    let diagonal = try Self.collect(checkpoint, Self.text, CalibrationOptions(detail: .diagonal))
    #expect(full.count == diagonal.count)
    for (site, moments) in full {
      #expect(diagonal[site]?.squares == moments.squares)
      #expect(diagonal[site]?.maxima == moments.maxima)
      #expect(diagonal[site]?.detail == .diagonal)
    }
  }

  @Test(arguments: [(1, 1, 1), (16, 16, 1), (17, 17, 2), (24, 24, 2), (32, 32, 2), (100, 32, 2)])
  func theTextIsCut(limit: Int, tokens: Int, windows: Int) throws {
    let checkpoint = try CalibrationCheckpoint()
    let calibrator = Calibrator(
      checkpoint: checkpoint.path,
      options: CalibrationOptions(detail: .diagonal, maximumTokens: limit))
    let summary = try calibrator.run(text: Self.text) { _, moments in
      #expect(moments.tokenCount == tokens)
    }
    #expect(summary.text.tokenCount == tokens && summary.windowCount == windows)
  }

  /// Windows of 8 with a beginning-of-sequence token hold 7 tokens of the text each.
  @Test(arguments: [(100, 37, 5), (16, 16, 2), (17, 16, 2), (18, 18, 3)])
  func windowsMayBeginTheSequence(limit: Int, tokens: Int, windows: Int) throws {
    let checkpoint = try CalibrationCheckpoint()
    let calibrator = Calibrator(
      checkpoint: checkpoint.path,
      options: CalibrationOptions(
        detail: .diagonal, maximumTokens: limit, windowLength: 8, addsBeginOfSequence: true))
    let summary = try calibrator.run(text: Self.text) { _, _ in }
    #expect(summary.text.tokenCount == tokens && summary.windowCount == windows)
    #expect(summary.text.addsBeginOfSequence)
  }

  @Test func cancellationLeavesNothing() throws {
    let checkpoint = try CalibrationCheckpoint()
    let output = checkpoint.file("model.stats")
    let calibrator = Calibrator(checkpoint: checkpoint.path)
    // Two windows through the embedding, two layers and the head, and each layer asks once more.
    for limit in 0..<10 {
      var asked = 0
      #expect(throws: CalibrationError.cancelled) {
        try calibrator.run(
          text: Self.text, saving: output,
          isCancelled: {
            asked += 1
            return asked > limit
          })
      }
      #expect(checkpoint.others == [])
    }
    try calibrator.run(text: Self.text, saving: output)
    #expect(checkpoint.others == ["model.stats"])
    // An older file stays as it was.
    let before = try Data(contentsOf: URL(filePath: output.string))
    #expect(throws: CalibrationError.cancelled) {
      try calibrator.run(text: "abc", saving: output, isCancelled: { true })
    }
    #expect(checkpoint.others == ["model.stats"])
    #expect(try Data(contentsOf: URL(filePath: output.string)) == before)
  }

  @Test func progressReachesItsTotal() throws {
    let checkpoint = try CalibrationCheckpoint()
    var steps: [CalibrationProgress] = []
    try Calibrator(checkpoint: checkpoint.path).run(
      text: Self.text, progress: { steps.append($0) }, sink: { _, _ in })
    #expect(steps.map(\.done) == steps.map(\.done).sorted())
    #expect(steps.last?.done == 128 && steps.allSatisfy { $0.total == 128 })
    #expect(
      Set(steps.map(\.stage)) == ["embedding", "layer 1 of 2", "layer 2 of 2", "head"])
  }

  @Test func optionsOutsideTheirRange() throws {
    let checkpoint = try CalibrationCheckpoint()
    for options in [
      CalibrationOptions(windowLength: 17), CalibrationOptions(windowLength: 0),
      CalibrationOptions(maximumTokens: 0), CalibrationOptions(maximumTokens: .max),
      CalibrationOptions(windowLength: 1, addsBeginOfSequence: true),
    ] {
      let error = #expect(throws: CalibrationError.self) {
        try Self.collect(checkpoint, Self.text, options)
      }
      guard case .invalidOption = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
    }
    #expect(throws: CalibrationError.emptyText) { try Self.collect(checkpoint, "") }
  }

  /// What the sink throws ends the run.
  @Test func theSinkMayStop() throws {
    struct Stop: Error {}
    let checkpoint = try CalibrationCheckpoint()
    var count = 0
    #expect(throws: Stop.self) {
      try Calibrator(checkpoint: checkpoint.path).run(text: Self.text) { _, _ in
        count += 1
        if count == 3 { throw Stop() }
      }
    }
    #expect(count == 3)
  }

  /// Weights that halves hold, but whose products no single-precision number does.
  @Test func inputsThatOverflow() throws {
    let checkpoint = try CalibrationCheckpoint(scale: 6e4)
    let error = #expect(throws: CalibrationError.self) { try Self.collect(checkpoint) }
    guard case .notFinite = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }
}
