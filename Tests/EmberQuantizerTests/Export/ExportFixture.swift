import EmberFormat
import EmberKernels
import EmberModel
import EmberQuantizer
import EmberTestSupport
import EmberTokenizer
import Foundation
import SystemPackage
import Testing

/// A tiny checkpoint, converted and exported in a folder that goes away with the value.
final class ExportFixture {
  let folder: URL
  /// What is exported.
  let model: FilePath

  /// Converts one of the architectures' fixtures, mixtures of experts included.
  ///
  /// - Parameter change: a key of the configuration, and another number for it.
  convenience init(
    _ name: String, bits: Int = 16, outliers: OutlierBudget = .percent(0),
    change: (key: String, value: Int)? = nil
  ) throws {
    try self.init { folder in
      let source = folder.appending(path: "checkpoint")
      if let expert = ExpertCheckpoint.all.first(where: { $0.name == name }) {
        try expert.write(to: source)
      } else {
        struct Reference: Decodable { let weights: String }
        let checkpoint = try #require(ArchitectureCheckpoint.all.first { $0.name == name })
        let reference = try JSONDecoder().decode(
          Reference.self,
          from: Data(contentsOf: checkpoint.source.appending(path: "reference.json")))
        try checkpoint.write(to: source, weights: reference.weights)
      }
      if let change { try ExportFixture.change(source, change) }
      return FilePath(source.path)
    } convert: { source, output in
      try ExportFixture.convert(source, to: output, bits: bits, outliers: outliers)
    }
  }

  /// - Parameters:
  ///   - source: makes a checkpoint in the folder; returns its path.
  ///   - convert: makes a model of it.
  init(
    source: (URL) throws -> FilePath,
    convert: (_ source: FilePath, _ model: FilePath) throws -> Void
  ) throws {
    folder = try TestData.temporaryFolder()
    model = FilePath(folder.appending(path: "model").path)
    try convert(try source(folder), model)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  func path(_ name: String) -> FilePath { FilePath(folder.appending(path: name).path) }

  private static func change(_ source: URL, _ change: (key: String, value: Int)) throws {
    let file = source.appending(path: "config.json")
    let parsed = try JSONSerialization.jsonObject(with: Data(contentsOf: file))
    var values = try #require(parsed as? [String: Any])
    values[change.key] = change.value
    try JSONSerialization.data(withJSONObject: values).write(to: file)
  }

  static func convert(
    _ source: FilePath, to output: FilePath, bits: Int = 16, outliers: OutlierBudget = .percent(0)
  ) throws {
    var options = QuantizationOptions(bits: bits, outliers: outliers, threads: 1)
    // Powers of two in other places are the same function, but not the same bits.
    options.foldsEmergentColumns = bits != 16
    _ = try Converter(checkpoint: source, output: output, options: options).run()
  }

  @discardableResult
  func export(
    _ format: ExportFormat, type: ExportType = .f16, to name: String,
    change: (inout ExportOptions) -> Void = { _ in }
  ) throws -> ExportSummary {
    var options = ExportOptions(format: format, type: type)
    change(&options)
    return try Exporter(model: model, output: path(name), options: options).run()
  }

  var leftovers: [String] {
    get throws {
      try FileManager.default.contentsOfDirectory(atPath: folder.path)
        .filter { $0.contains("ember-tmp") }
    }
  }
}

/// What a model file's tensors are worth.
enum ModelValues {
  /// All values by tensor, dequantized.
  static func of(_ path: FilePath) throws -> [String: [Float]] {
    let file = try ModelFile(opening: path)
    var values: [String: [Float]] = [:]
    for tensor in file.tensors { values[tensor.name] = try self.values(tensor, of: file) }
    return values
  }

  static func values(_ tensor: TensorRecord, of file: ModelFile) throws -> [Float] {
    let base = try #require(file.bytes(of: tensor).baseAddress)
    let layout = tensor.layout
    let types: [BlockType: MatrixType] = [
      .f16: .f16, .q8: .q8, .q4: .q4, .q4n: .q4n, .q5: .q5, .q6: .q6,
    ]
    guard let type = types[layout.type] else {
      return (0..<layout.columns).map { base.load(fromByteOffset: 4 * $0, as: Float.self) }
    }
    let matrix = Matrix(
      type: type, rows: layout.rows, columns: layout.columns, outlierSteps: layout.outlierSteps,
      data: base)
    var values: [Float] = []
    var row = [Float](repeating: 0, count: layout.columns)
    for index in 0..<layout.rows {
      matrix.copyRow(index, to: &row)
      values += row
    }
    return values
  }

  /// Those of halves.
  static func rounded(_ values: [Float]) -> [Float] { values.map { Half.value(Half.bits($0)) } }
}

extension CheckpointTensor {
  /// All of them.
  var allValues: [Float] {
    get throws {
      let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: rows * columns)
      defer { buffer.deallocate() }
      try read(rows: 0..<rows, into: buffer)
      return Array(buffer)
    }
  }
}
