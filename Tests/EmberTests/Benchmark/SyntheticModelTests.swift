import Ember
import EmberTestSupport
import Foundation
import Testing

@Suite("Models of random weights")
struct SyntheticModelTests {
  @Test("Named shapes are those of the models that they are named after")
  func namedShapes() throws {
    let small = try SyntheticShape(parsing: "1.1B")
    #expect((small.width, small.layerCount, small.feedForwardWidth) == (2048, 22, 5632))
    #expect((small.headCount, small.keyValueHeadCount) == (32, 4))
    #expect((small.vocabularySize, small.contextLength) == (32_000, 2048))
    let large = try SyntheticShape(parsing: "7b")
    #expect((large.width, large.layerCount, large.feedForwardWidth) == (4096, 32, 11_008))
    #expect((large.headCount, large.keyValueHeadCount) == (32, 32))
    for (name, shape) in SyntheticShape.named {
      #expect(try SyntheticShape(parsing: name) == shape)
      #expect(shape.architecture.layerCount == shape.layerCount)
    }
  }

  @Test("Sizes, with defaults from the right")
  func sizes() throws {
    let short = try SyntheticShape(parsing: "512x8x1408")
    #expect((short.headCount, short.keyValueHeadCount) == (8, 8))
    #expect((short.vocabularySize, short.contextLength) == (32_000, 2048))
    let all = try SyntheticShape(parsing: "128x1x64x4x2x272x99")
    #expect((all.width, all.layerCount, all.feedForwardWidth) == (128, 1, 64))
    #expect((all.headCount, all.keyValueHeadCount) == (4, 2))
    #expect((all.vocabularySize, all.contextLength) == (272, 99))
  }

  @Test(
    "Shapes that no model has",
    arguments: [
      "", "x", "13B", "512", "512x8", "512x8x", "512x8x1408x8x8x32000x2048x1", "512x-8x1408",
      "0x1x64", "-64x1x64", "65x1x64", "64x1x65", "64x0x64", "64x1x64x3", "64x1x64x8",
      "64x1x64x0", "64x1x64x4x3", "64x1x64x4x8", "64x1x64x4x2x256", "64x1x64x4x2x273",
      "64x1x64x4x2x272x0", "99999999999999999999x1x64", "64x9223372036854775807x64",
      "9223372036854775744x1x64",
    ])
  func wrongShapes(_ text: String) {
    #expect(throws: EvaluationError.self) { try SyntheticShape(parsing: text) }
  }

  @Test(
    "Files verify, load and run, at every precision",
    arguments: [(4, 0.0), (4, 3.0), (8, 1.0), (16, 0.0), (16, 1.0)])
  func files(bits: Int, outliers: Double) throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = FilePath(folder.appending(path: "model").path)
    let synthetic = SyntheticModel(
      shape: try SyntheticShape(parsing: "tiny"), bits: bits, outlierPercent: outliers)
    let bytes = try synthetic.write(to: path)
    let loaded = try LoadedModel(opening: path)
    #expect(loaded.model.file.fileBytes == bytes)
    try loaded.model.file.verify()
    #expect(loaded.model.metadata.recipe.bits == bits)
    let query = try #require(
      loaded.model.file.tensor(named: TensorName.weight(TensorName.Matrix.query, layer: 1)))
    #expect((query.outlierCount > 0) == (outliers > 0 && bits < 16))
    let session = try InferenceSession(model: loaded.model, threads: 2)
    let logits = try session.append([1, 300, 511])
    #expect(logits.allSatisfy { $0.isFinite })
    #expect(Set(logits).count > 256)
    // The same arguments give the same bytes.
    let again = FilePath(folder.appending(path: "again").path)
    _ = try synthetic.write(to: again)
    #expect(
      FileManager.default.contentsEqual(atPath: path.string, andPath: again.string))
  }

  @Test("Cancelling leaves nothing behind")
  func cancelled() throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let synthetic = SyntheticModel(shape: try SyntheticShape(parsing: "tiny"), bits: 4)
    #expect(throws: CancellationError.self) {
      _ = try synthetic.write(
        to: FilePath(folder.appending(path: "model").path), isCancelled: { true })
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }
}
