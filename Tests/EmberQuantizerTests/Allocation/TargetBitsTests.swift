import EmberFormat
import EmberModel
import EmberQuantizer
import EmberTestSupport
import EmberTokenizer
import Foundation
import SystemPackage
import Testing

/// Conversions with `targetBits`, of the bundled model.
struct TargetBitsTests {
  static let checkpoint = FilePath(TestData.bundled("models/novel-llama"))

  /// The first part of the bundled story calibrates, the rest is for measuring.
  static let texts: (calibration: String, test: String) = {
    let path = TestData.bundled("models/novel-llama/story.txt")
    let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    return (String(text.prefix(18_000)), String(text.dropFirst(18_000)))
  }()

  /// A file in a folder of its own, removed with the value.
  final class Conversion {
    let folder: URL
    let path: FilePath
    let summary: ConversionSummary

    init(_ options: QuantizationOptions, of checkpoint: FilePath = TargetBitsTests.checkpoint)
      throws
    {
      folder = try TestData.temporaryFolder()
      path = FilePath(folder.appending(path: "model").path)
      do {
        summary = try Converter(checkpoint: checkpoint, output: path, options: options).run()
      } catch {
        try? FileManager.default.removeItem(at: folder)
        throw error
      }
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    var bytes: [UInt8] { get throws { [UInt8](try Data(contentsOf: URL(filePath: path.string))) } }
  }

  static func options(
    _ target: Double, rules: [TensorTypeRule] = [], threads: Int? = nil
  ) -> QuantizationOptions {
    QuantizationOptions(
      targetBits: target, calibration: .text(texts.calibration), tensorTypes: rules,
      threads: threads)
  }

  /// KL(first ‖ second) in nats, the mean over the tokens of some windows.
  static func divergence(_ first: Conversion, _ second: Conversion) throws -> Double {
    let models = try [first, second].map { try Model(opening: $0.path) }
    let tokenizer = try Tokenizer(serialized: models[0].file.tokenizer)
    let ids = tokenizer.encode(
      texts.test, addingBeginOfSequence: false, parsingSpecialTokens: false)
    let sessions = try models.map { try InferenceSession(model: $0, contextLength: 256) }
    var (sum, count) = (0.0, 0)
    for start in stride(from: 0, to: min(ids.count, 1536) - 255, by: 256) {
      var rows: [[Double]] = []
      for session in sessions { session.truncate(to: 0) }
      let window = Array(ids[start..<start + 256])
      try sessions[0].append(window) { _, logits in rows.append(logSoftmax(logits)) }
      try sessions[1].append(window) { index, logits in
        let other = logSoftmax(logits)
        for (p, q) in zip(rows[index], other) { sum += exp(p) * (p - q) }
        count += 1
      }
    }
    return sum / Double(max(1, count))
  }

  private static func logSoftmax(_ logits: UnsafeMutableBufferPointer<Float>) -> [Double] {
    let maximum = Double(logits.max() ?? 0)
    let sum = log(logits.reduce(0) { $0 + exp(Double($1) - maximum) })
    return logits.map { Double($0) - maximum - sum }
  }

  @Test("the file has the bits that were asked for", arguments: [4.85, 5, 6, 7])
  func target(_ bits: Double) throws {
    let conversion = try Conversion(Self.options(bits))
    let model = try Model(opening: conversion.path)
    #expect(abs(model.fileBitsPerWeight - bits) <= 0.01 * bits)
    #expect(model.metadata.recipe.targetBits == bits)
    #expect(conversion.summary.fileBytes == model.file.fileBytes)
    let counted = Dictionary(grouping: model.file.tensors, by: \.layout.type).mapValues {
      $0.reduce(0) { $0 + $1.layout.rows * $1.layout.columns }
    }
    #expect(conversion.summary.weightsByType == counted)
  }

  @Test("single tensors add up to the whole, and the whole loses no more than a fixed mix")
  func quality() throws {
    let half = try Conversion(QuantizationOptions(bits: 16))
    let plain = try Conversion(
      QuantizationOptions(bits: 4, calibration: .text(Self.texts.calibration)))
    let chosen = try Conversion(Self.options(plain.summary.fileBitsPerWeight))
    let loss = try Self.divergence(half, chosen)
    #expect(try Self.divergence(half, half) == 0)
    #expect(loss <= 1.05 * (try Self.divergence(half, plain)))
    let expected = try #require(chosen.summary.expectedDivergence)
    #expect(expected < 2 * loss && loss < 2 * expected, "expected \(expected), measured \(loss)")
  }

  @Test("the same bytes whenever and on however many threads")
  func deterministic() throws {
    let one = try Conversion(Self.options(5, threads: 1))
    let three = try Conversion(Self.options(5, threads: 3))
    #expect(try one.bytes == three.bytes)
    #expect(one.summary.expectedDivergence == three.summary.expectedDivergence)
  }

  @Test("the types of rules stay")
  func rules() throws {
    let rules = [
      TensorTypeRule(pattern: "embedding", type: .q8),
      TensorTypeRule(pattern: "layers.1.*", type: .q4n),
    ]
    let conversion = try Conversion(Self.options(6, rules: rules))
    let file = try ModelFile(opening: conversion.path)
    for tensor in file.tensors where tensor.layout.type != .f32 {
      if tensor.name == "embedding" { #expect(tensor.layout.type == .q8) }
      if tensor.name.hasPrefix("layers.1.") { #expect(tensor.layout.type == .q4n) }
    }
  }

  @Test("works with every recipe, with and without a text")
  func recipes() throws {
    for recipe in Recipe.allCases {
      let conversion = try Conversion(
        QuantizationOptions(
          targetBits: 5, recipe: recipe,
          calibration: recipe == .best ? .text(Self.texts.calibration) : .automatic))
      #expect(abs(conversion.summary.fileBitsPerWeight - 5) <= 0.05)
    }
  }

  @Test("refuses what cannot be, and says what can", arguments: [0, -1, 1.5, 40, 1e300])
  func outOfReach(_ bits: Double) throws {
    let error = #expect(throws: QuantizerError.self) { _ = try Conversion(Self.options(bits)) }
    guard case .invalidOption("--target-bits", let expected, _) = error else {
      Issue.record("found \(String(describing: error))")
      return
    }
    #expect(expected.hasPrefix("4.") && expected.hasSuffix(" for this checkpoint"))
  }

  @Test("refuses what is no number, and a precision of tables beside it")
  func invalid() throws {
    var options = Self.options(5)
    options.tableBits = 8
    for options in [options, Self.options(.nan), Self.options(.infinity)] {
      let error = #expect(throws: QuantizerError.self) { _ = try Conversion(options) }
      #expect(error?.description.hasPrefix("--target-bits: expected ") == true)
    }
  }

  @Test("says what to do where the model does not fit into memory")
  func tooLarge() {
    let text = QuantizerError.modelTooLarge(bytes: 20, available: 10).description
    #expect(text.contains("--bits and --tensor-type"))
    #expect(text.contains("20") && text.contains("10") && !text.contains("\n"))
  }

  @Test("stops when asked to, and leaves nothing")
  func cancelled() throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let output = FilePath(folder.appending(path: "model").path)
    var probed = 0
    #expect(throws: QuantizerError.cancelled) {
      _ = try Converter(checkpoint: Self.checkpoint, output: output, options: Self.options(5)).run(
        isCancelled: { probed > 2 },
        progress: { if $0.tensor.hasPrefix("sensitivity") { probed += 1 } })
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }
}
