import Ember
import EmberKernels
import EmberTestSupport
import Foundation
import Testing

@Suite("The bundled model", .serialized)
struct BundledModelTests {
  @Test("logits and greedy text against transformers at 16 bits")
  func logits() throws {
    let reference = try NovelReference.read(TestData.bundled("models/novel-llama/reference.json"))
    let converted = try ConvertedModel.bundled(bits: 16)
    #expect(reference.prompts.count == 3)
    for prompt in reference.prompts { try converted.expectAgreement(with: prompt) }
  }

  @Test("the same logits on any number of threads, in any chunks, with any kernels")
  func invariance() throws {
    let converted = try ConvertedModel.bundled(bits: 4, outliers: .percent(0.5))
    let story = try String(
      contentsOfFile: TestData.bundled("models/novel-llama/story.txt"), encoding: .utf8)
    let ids = Array(converted.tokenizer.encode(story).prefix(100))
    func bits(threads: Int, chunk: Int, kernels: Kernels) throws -> [UInt32] {
      let session = try InferenceSession(
        model: converted.model, threads: threads, chunkLength: chunk, kernels: kernels)
      return try session.append(ids).map(\.bitPattern)
    }
    let expected = try bits(threads: 1, chunk: 128, kernels: .best)
    for threads in [2, 3, 7] {
      #expect(try bits(threads: threads, chunk: 128, kernels: .best) == expected)
    }
    for chunk in [1, 7, 16, 33] {
      #expect(try bits(threads: 2, chunk: chunk, kernels: .best) == expected)
    }
    // One token alone in its tile, beside a full one, where buffers have not a slot to spare.
    for count in [17, 33] {
      func last(_ threads: Int) throws -> [UInt32] {
        let session = try InferenceSession(
          model: converted.model, contextLength: count, threads: threads, chunkLength: count)
        return try session.append(Array(ids.prefix(count))).map(\.bitPattern)
      }
      let alone = try last(1)
      for _ in 0..<20 { #expect(try last(4) == alone) }
    }
    for kernels in Kernels.available {
      #expect(try bits(threads: 2, chunk: 128, kernels: kernels) == expected, "\(kernels.name)")
    }
  }

  @Test("precisions rank as they should, and a model agrees with itself")
  func comparison() throws {
    let story = try String(
      contentsOfFile: TestData.bundled("models/novel-llama/story.txt"), encoding: .utf8)
    var windows = PerplexityProtocol.papers(context: 512)
    windows.maximumWindows = 8
    let full = try ConvertedModel.bundled(bits: 16).perplexityOf(story, windows)
    let eight = try ConvertedModel.bundled(bits: 8).perplexityOf(story, windows)
    let four = try ConvertedModel.bundled(bits: 4).perplexityOf(story, windows)
    #expect(abs(relative(eight, to: full)) < 3e-3, "\(eight), \(full)")
    #expect(relative(four, to: full) > 0 && relative(four, to: full) < 0.02, "\(four), \(full)")
  }

  @Test("the same input gives the same bytes, on any number of threads")
  func deterministicConversion() throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    var files: [Data] = []
    for threads in [1, 2, 5] {
      let output = folder.appending(path: "\(threads).q4")
      var options = QuantizationOptions(bits: 4)
      options.threads = threads
      _ = try Converter(
        checkpoint: FilePath(TestData.bundled("models/novel-llama")),
        output: FilePath(output.path), options: options
      ).run()
      files.append(try Data(contentsOf: output))
    }
    #expect(files[0] == files[1] && files[1] == files[2])
  }
}

extension ConvertedModel {
  fileprivate func perplexityOf(_ text: String, _ windows: PerplexityProtocol) throws -> Double {
    try PerplexityEvaluator(model: model, tokenizer: tokenizer)
      .evaluate(text: text, protocol: windows).perplexity
  }
}
