import Ember
import EmberModel
import EmberTestSupport
import Foundation
import Testing

/// What a conversion knows of experts.
@Suite("Converting mixtures of experts")
struct ExpertConversionTests {
  private func folder() throws -> URL {
    let folder = try TestData.temporaryFolder()
    for checkpoint in ExpertCheckpoint.all {
      try checkpoint.write(to: folder.appending(path: checkpoint.name))
    }
    return folder
  }

  private static let text = String(
    repeating: "The hat on the mat, and in it the other cat. ", count: 60)

  @Test("calibration sees what the experts of a layer have in common", arguments: [0, 1])
  func calibration(index: Int) throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let name = ExpertCheckpoint.all[index].name
    let calibrator = Calibrator(checkpoint: FilePath(folder.appending(path: name).path))
    var sites: [String] = []
    try calibrator.run(text: Self.text) { site, moments in
      sites.append(site.name)
      #expect(moments.tokenCount > 1000)
      #expect(moments.squares.allSatisfy { $0.isFinite && $0 > 0 }, "\(site)")
    }
    // Only a shared expert's down sees every token.
    #expect(sites.contains("layers.1.feed_forward.down") == (index == 1))
    #expect(sites.contains("layers.1.feed_forward.up"))
    #expect(
      CalibrationSite(ofTensor: "layers.1.feed_forward.experts.3.gate.weight", tiedHead: false)?
        .name == "layers.1.feed_forward.up")
    #expect(
      CalibrationSite(ofTensor: "layers.1.feed_forward.experts.3.down.weight", tiedHead: false)
        == nil)
  }

  @Test("all recipes, and routers stay as they are", arguments: [Recipe.balanced, .best])
  func recipes(_ recipe: Recipe) throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    for checkpoint in ExpertCheckpoint.all {
      let output = FilePath(folder.appending(path: "\(checkpoint.name).q4").path)
      _ = try Converter(
        checkpoint: FilePath(folder.appending(path: checkpoint.name).path), output: output,
        options: QuantizationOptions(
          bits: 4, recipe: recipe, calibration: .text(Self.text),
          tensorTypes: [TensorTypeRule(pattern: "*", type: .q5)])
      ).run()
      let model = try Model(opening: output)
      for tensor in model.file.tensors {
        let isRouter = tensor.name.contains("router") || tensor.name.contains("shared_gate")
        if isRouter { #expect(tensor.layout.type == .f16) }
        if tensor.name.contains(".experts.") { #expect(tensor.layout.type == .q5) }
      }
      let logits = try InferenceSession(model: model).append([84, 104, 101])
      #expect(logits.allSatisfy { $0.isFinite })
    }
  }

  @Test("types by sensitivity, routers left out")
  func targetBits() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let output = FilePath(folder.appending(path: "model.q").path)
    _ = try Converter(
      checkpoint: FilePath(folder.appending(path: "qwen2-moe").path), output: output,
      options: QuantizationOptions(targetBits: 24, recipe: .fast)
    ).run()
    let routers = try Model(opening: output).file.tensors.filter { $0.name.contains("router") }
    #expect(routers.count == 2 && routers.allSatisfy { $0.layout.type == .f16 })
  }

  @Test("a forecast knows the experts that the model will have")
  func forecast() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    for checkpoint in ExpertCheckpoint.all {
      let source = FilePath(folder.appending(path: checkpoint.name).path)
      let options = QuantizationOptions(bits: 8, outliers: .percent(0), recipe: .fast)
      let forecast = try ConversionForecast(of: source, options: options)
      let output = FilePath(folder.appending(path: "model.q8").path)
      _ = try Converter(checkpoint: source, output: output, options: options).run()
      let inventory = try Model(opening: output).inventory
      #expect(forecast.inventory.expertBytes == inventory.expertBytes)
      #expect(forecast.inventory.expertBytesPerToken == inventory.expertBytesPerToken)
      #expect(forecast.inventory.matrixBytes == inventory.matrixBytes)
      #expect(forecast.inventory.vectorBytes == inventory.vectorBytes)
    }
  }
}
