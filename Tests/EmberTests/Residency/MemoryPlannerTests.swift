import Ember
import EmberFormat
import EmberModel
import EmberTestSupport
import Foundation
import Testing

@Suite("Memory plans")
struct MemoryPlannerTests {
  /// Some 120 MB of matrices in q8.
  private static let architecture = Architecture(
    name: "test", vocabularySize: 8192, width: 1024, layerCount: 8, feedForwardWidth: 2816,
    contextLength: 8192, norm: .init(kind: .rootMeanSquare, epsilon: 1e-5),
    position: .rotary(base: 10_000, dimensions: 64, pairing: .halves),
    attention: .init(headCount: 16, keyValueHeadCount: 4, headDimension: 64),
    feedForward: .init(kind: .gated, activation: .silu), tiedHead: false)
  private static let resident = 30_000_000

  private static func inventory() throws -> WeightInventory {
    let a = architecture
    var tensors: [String: WeightInventory.Tensor] = [:]
    var offset = 4096
    func add(_ name: String, _ rows: Int, _ columns: Int, _ type: BlockType = .q8) throws {
      let layout = try TensorLayout(type: type, rows: rows, columns: columns)
      tensors[name] = WeightInventory.Tensor(layout: layout, offset: offset)
      offset += (layout.byteCount + 63) / 64 * 64
    }
    try add(TensorName.embedding, a.vocabularySize, a.width)
    for layer in 0..<a.layerCount {
      try add(TensorName.weight(.attention, layer: layer), 1, a.width, .f32)
      for (matrix, rows, columns) in [
        (TensorName.Matrix.query, 1024, 1024), (.key, 256, 1024), (.value, 256, 1024),
        (.attentionOutput, 1024, 1024), (.gate, 2816, 1024), (.up, 2816, 1024),
        (.down, 1024, 2816),
      ] {
        try add(TensorName.weight(matrix, layer: layer), rows, columns)
      }
    }
    try add(TensorName.head, a.vocabularySize, a.width)
    return try #require(
      WeightInventory(architecture: a, tensors: tensors, descriptionBytes: 1_000_000))
  }

  private static func plan(_ request: MemoryRequest) throws -> MemoryPlan {
    try MemoryPlan(
      inventory(), architecture, request, resident: resident, name: "model.q8")
  }

  @Test("make no room for positions that will not be used")
  func neededPositions() throws {
    var request = MemoryRequest(budget: .bytes(60_000_000))
    let open = try Self.plan(request)
    request.neededPositions = 100
    let short = try Self.plan(request)
    #expect(short.contextLength == 100 && open.contextLength > 100)
    #expect(short.pinnedBytes > open.pinnedBytes)
    #expect(short.totalBytes <= 60_000_000)
    // A context that is asked for, or one without a budget, stays.
    request.context = .positions(300)
    #expect(try Self.plan(request).contextLength == 300)
    request.context = .automatic
    request.budget = .unlimited
    #expect(try Self.plan(request).contextLength == 8192)
    // A base that grows with the context makes the text depend on it.
    var stretched = Self.architecture
    stretched.position = .rotary(
      base: 10_000, dimensions: 64, pairing: .halves,
      scaling: .dynamic(factor: 2, originalContext: 4096))
    request.budget = .bytes(60_000_000)
    let plan = try MemoryPlan(
      Self.inventory(), stretched, request, resident: Self.resident, name: "model.q8")
    #expect(plan.contextLength == open.contextLength)
  }

  @Test("stay within every budget that they accept", arguments: [48, 60, 77, 90, 110, 140, 180])
  func budgets(megabytes: Int) throws {
    let budget = megabytes * 1_000_000
    for precision in CachePrecision.allCases {
      for context in [MemoryRequest.Context.automatic, .positions(300)] {
        let plan = try Self.plan(
          MemoryRequest(budget: .bytes(budget), context: context, cachePrecision: precision))
        #expect(plan.fits && plan.totalBytes <= budget)
        #expect(plan.programBytes > Self.resident)
      }
    }
  }

  @Test("pin or stream every matrix, once")
  func pinnedAndStreamed() throws {
    let inventory = try Self.inventory()
    var streamedBefore = Int.max
    for megabytes in stride(from: 50, through: 140, by: 9) {
      let plan = try Self.plan(
        MemoryRequest(budget: .bytes(megabytes * 1_000_000), context: .positions(256)))
      guard plan.weights == .streamed else { continue }
      let held = plan.pinnedBytes - inventory.vectorBytes + plan.streamedBytes
      // In whole pages: two more at most for each slice.
      #expect(held >= inventory.matrixBytes && held < inventory.matrixBytes / 50 * 51)
      #expect(plan.passBytes == inventory.matrixBytes + inventory.vectorBytes)
      #expect(plan.streamedBytes < streamedBefore, "more memory streams less")
      streamedBefore = plan.streamedBytes
    }
    #expect(streamedBefore < inventory.matrixBytes)
  }

  @Test("hold everything where it fits, tables left out before anything streams")
  func mapped() throws {
    let large = try Self.plan(MemoryRequest(budget: .bytes(1_000_000_000)))
    #expect(large.weights == .mapped && large.contextLength == 8192)
    var request = MemoryRequest(context: .positions(512))
    request.budget = .unlimited
    let all = try Self.plan(request).totalBytes
    request.budget = .bytes(all)
    #expect(try Self.plan(request).weights == .mapped)
    request.budget = .bytes(all - 1)
    #expect(try Self.plan(request).weights == .mappedMatrices)
    request.budget = .bytes(all - (try Self.inventory().tableBytes) - 1)
    #expect(try Self.plan(request).weights == .streamed)
  }

  @Test("take a longer context from a larger budget, up to the model's own")
  func automaticContext() throws {
    var last = 0
    for megabytes in [50, 60, 80, 100, 130, 200, 400] {
      let plan = try Self.plan(MemoryRequest(budget: .bytes(megabytes * 1_000_000)))
      #expect(plan.contextLength >= 64 && plan.contextLength <= 8192)
      if plan.weights == .streamed {
        #expect(plan.contextLength >= last)
        last = plan.contextLength
      }
    }
    #expect(try Self.plan(MemoryRequest(budget: .bytes(400_000_000))).contextLength == 8192)
  }

  @Test("that are refused say what would do, and that does")
  func refusal() throws {
    var request = MemoryRequest(budget: .bytes(40_000_000), context: .positions(8192))
    do {
      _ = try Self.plan(request)
      Issue.record("a plan within 40 MB")
    } catch ModelError.budgetTooSmall(let path, let needed, let budget, let advice) {
      #expect(path == "model.q8" && budget == 40_000_000 && needed > budget)
      #expect(advice.map(\.option) == ["--cache-bits 8", "--context 4096"])
      #expect(advice.allSatisfy { $0.neededBytes < needed })
      request.budget = .bytes(needed)
      #expect(try Self.plan(request).fits)
      request.budget = .bytes(advice[0].neededBytes)
      request.cachePrecision = .int8
      #expect(try Self.plan(request).fits)
    }
    request.budget = .bytes(1)
    request.isForced = true
    #expect(try !Self.plan(request).fits)
  }

  @Test("of a checkpoint are those of the file that is made of it")
  func forecast() throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let checkpoint = FilePath(TestData.bundled("models/novel-llama"))
    for bits in [4, 8, 16] {
      let output = FilePath(folder.path).appending("model.q\(bits)")
      let options = QuantizationOptions(bits: bits, recipe: .fast)
      let forecast = try ConversionForecast(of: checkpoint, options: options)
      let summary = try Converter(checkpoint: checkpoint, output: output, options: options).run()
      let expected = try #require(forecast.fileBytes)
      #expect(abs(expected - summary.fileBytes) <= summary.fileBytes / 100)
      let model = try Model(opening: output)
      #expect(forecast.inventory.matrixBytes == model.inventory.matrixBytes)
      #expect(forecast.inventory.vectorBytes == model.inventory.vectorBytes)
      #expect(forecast.inventory.tableRowBytes == model.inventory.tableRowBytes)
      #expect(forecast.tensorBytes == model.file.tensors.reduce(0) { $0 + $1.byteCount })
      #expect(
        try ConversionForecast(of: model, options: options).tensorBytes == forecast.tensorBytes)
      let request = MemoryRequest(budget: .bytes(Self.resident + 20_000_000))
      let (planned, found) = (
        try MemoryPlan(
          forecast.inventory, forecast.architecture, request, resident: Self.resident, name: "a"),
        try MemoryPlan(
          model.inventory, model.architecture, request, resident: Self.resident, name: "b")
      )
      #expect(planned == found)
    }
  }

  @Test("of a conversion are refused before it begins, with what would do")
  func conversion() throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let output = FilePath(folder.path).appending("model.q4")
    var options = QuantizationOptions(
      bits: 4, recipe: .best, calibration: .text("It was a bright cold day in April."))
    options.memory = .bytes(1_000_000)
    let converter = Converter(
      checkpoint: FilePath(TestData.bundled("models/novel-llama")), output: output,
      options: options)
    do {
      _ = try converter.run()
      Issue.record("a conversion within 1 MB")
    } catch QuantizerError.budgetTooSmall(_, let needed, let budget, let advice) {
      #expect(needed > budget && advice.contains { $0.option == "--recipe fast" })
      #expect(advice.allSatisfy { $0.neededBytes < needed })
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }
}
