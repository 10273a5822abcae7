import EmberFormat
import EmberModel
import EmberTokenizer
import Foundation
public import SystemPackage

/// Writes a model file in another program's format, a row at a time.
///
/// ```swift
/// let exporter = Exporter(
///   model: "model.q4", output: "model.gguf", options: ExportOptions(format: .gguf))
/// let summary = try exporter.run()
/// ```
///
/// Weights are dequantized, outliers included, and rounded to halves (or GGUF's Q8_0): what
/// quantizing lost does not come back. The description that is written is read again before any
/// weight is, and must say the same of the model. A GGUF file or a folder appears only when it is
/// complete.
public struct Exporter: Sendable {
  public let model: FilePath
  public let output: FilePath
  public let options: ExportOptions

  public init(model: FilePath, output: FilePath, options: ExportOptions) {
    self.model = model
    self.output = output
    self.options = options
  }

  /// Where the result goes unless told otherwise: beside the model, `model.q4` as `model.gguf` or
  /// into the folder `model-safetensors`.
  public static func defaultOutput(for model: FilePath, format: ExportFormat) -> FilePath {
    var output = model
    let stem = model.stem ?? "model"
    let name = format == .gguf ? "\(stem).gguf" : "\(stem)-safetensors"
    if output.lastComponent?.kind == .regular { output.removeLastComponent() }
    return FilePath.Component(name).map { output.appending($0) } ?? output
  }

  /// Exports.
  ///
  /// - Parameters:
  ///   - isCancelled: asked every few rows.
  ///   - progress: told every few rows.
  /// - Throws: `ExportError`, `FormatError`, `ModelError`, `TokenizerError`; then nothing is written.
  public func run(
    isCancelled: @escaping () -> Bool = { false },
    progress: @escaping (ExportProgress) -> Void = { _ in }
  ) throws -> ExportSummary {
    let start = ContinuousClock.now
    let resident = ProcessMemory.resident
    if options.format == .safetensors, options.type != .f16 {
      throw ExportError.unsupportedType(
        format: options.format.rawValue, found: options.type.rawValue, expected: "f16")
    }
    let file = try ModelFile(opening: model)
    let metadata = try ModelMetadata(decoding: file.metadata, path: model.string)
    let tokenizer = try Tokenizer(serialized: file.tokenizer)
    try refuse(over: file, metadata.architecture, resident: resident)
    try checkOutput()

    var summary: ExportSummary
    switch options.format {
    case .safetensors:
      let export = try HuggingFaceExport(
        file, metadata: metadata, tokenizer: tokenizer, options: options)
      summary = Self.summary(of: export.plan, architecture: export.name, export.warnings)
      var writer = Self.writer(file, export.plan, isCancelled, progress)
      var folder = try TemporaryFolder(replacing: output)
      let files = try export.write(to: folder.path, &writer)
      try folder.commit(
        key: HuggingFaceReader.configurationName, removing: SafetensorsOutput.isWeights)
      summary.files = files.map(\.0)
      summary.byteCount = files.reduce(0) { $0 + $1.1 }
    case .gguf:
      let export = try GGUFExport(
        file, metadata: metadata, tokenizer: tokenizer, type: options.type)
      summary = Self.summary(of: export.plan, architecture: export.name, export.warnings)
      var writer = Self.writer(file, export.plan, isCancelled, progress)
      summary.byteCount = try export.write(to: output, &writer)
      summary.files = [output.lastComponent?.string ?? output.string]
    }
    summary.isQuantized = file.tensors.contains {
      $0.layout.type != .f16 && $0.layout.type != .f32
    }
    summary.seconds = (ContinuousClock.now - start) / .seconds(1)
    return summary
  }

  private static func summary(
    of plan: ExportPlan, architecture: String, _ warnings: [String]
  ) -> ExportSummary {
    var summary = ExportSummary()
    summary.tensorCount = plan.tensors.count
    summary.weightCount = plan.tensors.reduce(0) { $0 + $1.elementCount }
    summary.architecture = architecture
    summary.warnings = warnings
    return summary
  }

  private static func writer(
    _ file: ModelFile, _ plan: ExportPlan, _ isCancelled: @escaping () -> Bool,
    _ progress: @escaping (ExportProgress) -> Void
  ) -> TensorOutput {
    let total = plan.tensors.reduce(0) { $0 + $1.elementCount }
    var state = ExportProgress(done: 0, total: total, tensor: "")
    return TensorOutput(file) { tensor, weights in
      if isCancelled() { throw ExportError.cancelled }
      state.done = min(total, state.done + weights)
      state.tensor = tensor
      progress(state)
    }
  }

  // MARK: Before anything is written

  /// A token in another program's words, and while it is read again.
  private static let tokenBytes = 2_000
  private static let reserveBytes = 4 << 20

  private func refuse(
    over file: ModelFile, _ architecture: Architecture, resident: Int
  ) throws(ExportError) {
    if options.isForced { return }
    guard let budget = options.memory.resolved(resident: resident) else { return }
    let rows = file.tensors.map { ModelRows.byteCount(of: $0) + 32 * $0.layout.columns }.max() ?? 0
    // A row group is below 2^31 bytes, a vocabulary below 2^25: no overflow.
    let needed =
      resident + Self.reserveBytes + rows + Self.tokenBytes * architecture.vocabularySize
      + (architecture.name == "GPT2LMHeadModel" ? 2 * TensorOutput.panelBytes : 0)
    guard needed <= budget else {
      throw .budgetTooSmall(model: model.string, needed: needed, budget: budget)
    }
  }

  private func checkOutput() throws {
    if let there = try? output.stat(), let own = try? model.stat(),
      there.deviceID == own.deviceID, there.inode == own.inode
    {
      throw ExportError.outputIsInput(path: output.string)
    }
    switch options.format {
    case .gguf: try FileReplacement.check(output)
    case .safetensors:
      guard PathKind(of: output) == .folder else { return }
      let names = (try? FileManager.default.contentsOfDirectory(atPath: output.string)) ?? []
      if !names.isEmpty, !options.isForced {
        throw ExportError.folderNotEmpty(path: output.string)
      }
    }
  }
}
