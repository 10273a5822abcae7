import Ember
import EmberTestSupport
import Foundation
import Testing

@Suite("Benchmark of a model")
struct ModelBenchmarkTests {
  private func synthetic(
    _ bits: Int, outliers: Double = 0, in folder: URL
  ) throws -> FilePath {
    let path = FilePath(folder.appending(path: "model-\(bits)").path)
    _ = try SyntheticModel(
      shape: try SyntheticShape(parsing: "tiny"), bits: bits, outlierPercent: outliers
    ).write(to: path)
    return path
  }

  @Test(
    "Bytes per token: every matrix and vector once, of the embedding one group of rows",
    arguments: [(4, 0.0), (4, 3.0), (8, 1.0), (16, 0.0)])
  func weightBytes(bits: Int, outliers: Double) throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let model = try Model(opening: try synthetic(bits, outliers: outliers, in: folder))
    // Shape "tiny": width 64, two layers, feed-forward 192, keys of 32, vocabulary 512. A tile is
    // 16 rows × 64 columns; behind the tiles of 16 rows stand the outliers, 64 bytes per step, and
    // before them below 8 bits the rows' scales, 64 bytes.
    let tile = [4: 576, 6: 832, 8: 1088, 16: 2048]
    func group(_ bits: Int, _ columns: Int) -> Int {
      let share = Double(columns) * outliers / 100
      let steps = bits == 16 || outliers == 0 ? 0 : max(1, Int(share.rounded()))
      return (bits < 8 ? 64 : 0) + columns / 64 * (tile[bits] ?? 0) + 64 * steps
    }
    func matrix(_ bits: Int, _ rows: Int, _ columns: Int) -> Int {
      rows / 16 * group(bits, columns)
    }
    let tables = bits == 4 ? 6 : bits
    let layer =
      2 * matrix(bits, 64, 64) + 2 * matrix(bits, 32, 64) + 2 * matrix(bits, 192, 64)
      + matrix(bits, 64, 192) + 2 * 64 * 4
    let expected = group(tables, 64) + 2 * layer + 64 * 4 + matrix(tables, 512, 64)
    #expect(model.weightBytesPerToken == expected)
  }

  @Test("Every test has a row with the cache's bytes, and the limits that it compares with")
  func rows() throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = try synthetic(16, in: folder)
    let (load, model) = try LoadTimes.measure(rounds: 2, threads: 1) {
      try LoadedModel(opening: path).model
    }
    let times = try #require(load)
    #expect(times.ready.minimum > 0 && times.ready.median <= times.firstToken.median)
    var plan = BenchmarkPlan()
    plan.promptTokens = [16]
    plan.generatedTokens = [4]
    plan.depths = [62, 0]
    plan.parallel = [3]
    plan.threads = [1]
    plan.repetitions = 1
    let report = try ModelBenchmark(
      model: model, plan: try plan.resolved(modelContext: 256, recommendedThreads: 1), load: load,
      peakMemory: { 1 << 30 }
    ).run()
    #expect(report.rows.map(\.test.depth) == [62, 0, 0, 0])
    #expect(report.rows.map(\.test.sequences) == [1, 1, 1, 3])
    // Two layers of two heads, keys and values of 16 halves. Chunks hold 64 positions; the four
    // tokens at 62 see 63, 64, 65 and 66.
    let position = 2.0 * 2 * 2 * 16 * 2
    #expect(report.rows[0].cacheBytesPerToken == 64 * position * (1 + 1 + 2 + 2) / 4)
    #expect(report.rows[1].cacheBytesPerToken == 64 * position)
    #expect(report.rows[2].cacheBytesPerToken == nil)
    #expect(report.footprint.cacheBytes == Int(64 * position))
    #expect(
      report.peakMemoryRatio
        == Double(1 << 30) / (Double(report.fileBytes) + 64 * position))
    // f16 is limited by f32, and what a share is of is in the same row.
    let prompt = report.rows[2]
    #expect(prompt.arithmetic == .f32 && prompt.bytesPerSecond == nil)
    let operations = try #require(prompt.operationsPerSecond)
    #expect(prompt.shareOfArithmeticPeak == operations / prompt.peaks.f32.median)
    let decode = report.rows[0]
    let bytes = try #require(decode.bytesPerSecond)
    #expect(
      bytes
        == decode.tokensPerSecond.median * Double(model.weightBytesPerToken)
        + decode.tokensPerSecond.median * 64 * position * 1.5)
    #expect(decode.shareOfReadBandwidth == bytes / decode.peaks.readBandwidth.median)
    #expect(decode.shareOfArithmeticPeak == nil)
  }

  @Test("Half a percent of outliers: ten per row of 2048 weights")
  func outlierSteps() throws {
    let model = SyntheticModel(
      shape: try SyntheticShape(parsing: "2048x1x5632x32x4x272x64"), bits: 4, outlierPercent: 0.5)
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = FilePath(folder.appending(path: "model").path)
    let fileBytes = try model.write(to: path)
    let file = try ModelFile(opening: path)
    try file.verify()
    let name = TensorName.weight(TensorName.Matrix.query, layer: 0)
    let query = try #require(file.tensor(named: name))
    let down = try #require(file.tensor(named: TensorName.weight(.down, layer: 0)))
    #expect(query.layout.outlierSteps == 10 && query.outlierCount == 10 * 2048)
    #expect(down.layout.outlierSteps == 28 && down.outlierCount == 28 * 2048)
    // What the disk is asked for beforehand: all but vectors, tables and text.
    let matrices = try model.matrixBytes()
    #expect(matrices < fileBytes && fileBytes < matrices + 100_000)
  }
}
