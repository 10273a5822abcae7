import EmberFormat
import EmberKernels
import EmberModel
import Foundation
public import SystemPackage

/// Turns a checkpoint into a model file, a block of rows at a time.
///
/// ```swift
/// let converter = Converter(
///   checkpoint: "model.bin", output: "model.q4", options: QuantizationOptions(bits: 4))
/// let summary = try converter.run()
/// ```
///
/// Memory grows with the widest layer at most, and with the vocabulary: a few megabytes of rows are read, encoded and written
/// before the next. The file appears at its place only when it is complete. The same checkpoint and
/// options give the same bytes, on any number of threads.
public struct Converter: Sendable {
  public let checkpoint: FilePath
  public let output: FilePath
  public let options: QuantizationOptions

  public init(checkpoint: FilePath, output: FilePath, options: QuantizationOptions) {
    self.checkpoint = checkpoint
    self.output = output
    self.options = options
  }

  /// Where the file goes unless told otherwise: beside the checkpoint, `model.bin` as `model.q4`, or
  /// as `model.q4.5` with a target of 4.5 bits.
  public static func defaultOutput(
    for checkpoint: FilePath, bits: Int, targetBits: Double? = nil
  ) -> FilePath {
    var output = checkpoint.lexicallyNormalized()
    let isFolder = (try? FileManager.default.contentsOfDirectory(atPath: output.string)) != nil
    let name = output.lastComponent?.string ?? "model"
    let stem = isFolder ? name : output.stem ?? name
    let suffix = targetBits.map { "q\($0)" } ?? (bits == 16 ? "f16" : "q\(bits)")
    let file = FilePath.Component("\(stem).\(suffix)") ?? "model.out"
    if output.lastComponent?.kind == .regular { output.removeLastComponent() }
    return output.appending(file)
  }

  /// Converts.
  ///
  /// - Parameters:
  ///   - isCancelled: asked between blocks of rows.
  ///   - progress: told after each block of rows.
  /// - Throws: `CheckpointError`, `TokenizerError`, `QuantizerError`, `FormatError`; then nothing
  ///   is written and an older file is as it was.
  public func run(
    isCancelled: () -> Bool = { false }, progress: (ConversionProgress) -> Void = { _ in }
  ) throws -> ConversionSummary {
    let start = ContinuousClock.now
    let resident = ProcessMemory.resident
    try options.validate()
    let stored = try CheckpointReader.open(checkpoint, tokenizer: options.tokenizer)
    try options.requireUse(ofRulesFor: stored)
    let memory = ConversionMemory(stored, options: options, resident: resident)
    let budget = options.isForced ? nil : options.memory.resolved(resident: resident)
    if let budget { try memory.refuse(over: budget, checkpoint: checkpoint.string) }
    let source =
      options.foldsEmergentColumns
      ? try stored.foldingEmergentColumns(onlyValues: !options.usesBlocks) : stored
    try refuseOverwritingInput(source)
    let (tokenizer, warnings) = try source.openTokenizer(checkpoint: checkpoint)
    var summary = ConversionSummary(warnings: source.warnings + warnings)
    // First of all, so that an output that cannot be written costs nobody a calibration.
    var writer = try ModelFileWriter(creating: output)
    let statistics = try statistics(
      of: source, warnings: &summary.warnings, memory: memory, budget: budget,
      isCancelled: isCancelled, progress: progress)
    let assignment = try assignment(
      of: source, tokenizer: tokenizer, statistics: statistics,
      memoryLimit: budget.map { $0 - resident }, isCancelled: isCancelled, progress: progress)
    summary.expectedDivergence = assignment?.divergence
    func type(of tensor: CheckpointTensor) -> BlockType {
      assignment?.types[tensor.name] ?? self.type(of: tensor, in: source)
    }
    let total = source.tensors.reduce(0) {
      $0 + $1.rows * $1.columns * passes(over: type(of: $1))
    }
    var state = ConversionProgress(done: 0, total: total, tensor: "")
    var extent: Substring?
    var importance = InputImportance(architecture: source.architecture)

    for tensor in source.tensors {
      if extent != Self.extentName(tensor.name) {
        try writer.beginExtent()
        extent = Self.extentName(tensor.name)
      }
      state.tensor = tensor.name
      func advance(_ weights: Int) throws {
        state.done += weights
        progress(state)
        if isCancelled() { throw QuantizerError.cancelled }
      }
      let converter = try matrixConverter(
        for: tensor, type: type(of: tensor), statistics: statistics, importance: importance,
        usingFeedback: options.recipe == .best)
      let steps = try outlierSteps(converter, advance: advance)
      let layout = try TensorLayout(
        type: converter.type, rows: tensor.rows, columns: tensor.columns, outlierSteps: steps)
      try writer.beginTensor(named: tensor.name, layout: layout)
      if converter.type == .f32 {
        try copyVector(tensor, to: &writer, importance: &importance)
        try writer.endTensor(outlierCount: 0, relativeError: 0)
        try advance(tensor.rows * tensor.columns)
      } else {
        let loss = try converter.encode(
          layout: layout, advance: advance, write: { try writer.write($0) })
        try writer.endTensor(outlierCount: loss.outlierCount, relativeError: loss.relative)
        if importance.isSource(tensor.name) {
          importance.add(rowSquares: loss.rowSquares, named: tensor.name)
        }
        summary.add(layout, loss, named: tensor.name)
      }
      summary.weightsByType[converter.type, default: 0] += tensor.rows * tensor.columns
      summary.tensorCount += 1
      summary.weightCount += tensor.rows * tensor.columns
    }

    summary.fileBytes = try writer.finish(
      metadata: try metadata(of: source, assignment: assignment).encoded(),
      tokenizer: try source.serialized(tokenizer))
    summary.seconds = (ContinuousClock.now - start) / .seconds(1)
    return summary
  }

  /// Tensors of one layer lie together; what comes before the layers and after them, likewise.
  static func extentName(_ tensor: String) -> Substring {
    let parts = tensor.split(separator: ".", maxSplits: 2)
    if parts.count == 3, parts[0] == "layers" { return parts[1] }
    if tensor.hasPrefix(TensorName.encoderPrefix) {
      // Of an encoder's layer all but what is the tensor's own.
      let names = tensor.split(separator: ".", maxSplits: 3)
      return names.count == 4 ? tensor[..<names[2].endIndex] : "encoder"
    }
    return [TensorName.embedding, TensorName.position].contains(tensor) ? "before" : "after"
  }

  func type(of tensor: CheckpointTensor, in source: Checkpoint) -> BlockType {
    options.type(of: tensor, layerCount: source.architecture.layerCount)
  }

  /// How often the weights of a tensor are looked at: once more where outliers are counted first.
  private func passes(over type: BlockType) -> Int {
    options.outliers == .automatic && type.allowsOutliers ? 2 : 1
  }

  /// What converts a tensor, with all that is known of its inputs.
  func matrixConverter(
    for tensor: CheckpointTensor, type: BlockType, statistics: InputStatistics?,
    importance: InputImportance, usingFeedback: Bool
  ) throws -> MatrixConverter {
    let threads = options.threads ?? ThreadCount.recommended
    return MatrixConverter(
      tensor: tensor, type: type,
      importance: try statistics?.importance(ofTensor: tensor.name)
        ?? importance.columns(of: tensor.name),
      feedback: usingFeedback && type.isGrouped
        ? try statistics?.feedback(ofTensor: tensor.name, threads: threads) : nil,
      threads: threads)
  }

  /// Outliers of a row at least, before anything is known of its weights.
  func leastOutlierSteps(of type: BlockType, columns: Int) -> Int {
    guard type.allowsOutliers, columns <= TensorLayout.maximumOutlierColumns,
      case .percent(let share) = options.outliers, share > 0
    else { return 0 }
    return max(1, Int((Double(columns) * share / 100).rounded()))
  }

  func outlierSteps(
    _ converter: MatrixConverter, advance: (Int) throws -> Void
  ) throws -> Int {
    guard converter.type.allowsOutliers,
      converter.tensor.columns <= TensorLayout.maximumOutlierColumns
    else { return 0 }
    let columns = converter.tensor.columns
    switch options.outliers {
    case .percent:
      return leastOutlierSteps(of: converter.type, columns: columns)
    case .automatic:
      // Beyond one weight in sixteen, more bits for all are the better answer.
      return try converter.profitableOutlierSteps(
        limit: max(1, columns / 16), advance: advance)
    }
  }

  private func copyVector(
    _ tensor: CheckpointTensor, to writer: inout ModelFileWriter,
    importance: inout InputImportance
  ) throws {
    let count = tensor.rows * tensor.columns
    let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
    defer { values.deallocate() }
    try tensor.read(rows: 0..<tensor.rows, into: values)
    if importance.isSource(tensor.name) {
      importance.add(vector: UnsafeBufferPointer(values), named: tensor.name)
    }
    // Model files are little-endian; so is every processor that Ember runs on.
    try writer.write(UnsafeRawBufferPointer(values))
  }

  func metadata(of source: Checkpoint, assignment: TypeAssignment?) -> ModelMetadata {
    let provenance = source.provenance
    return ModelMetadata(
      architecture: source.architecture,
      recipe: .init(
        bits: assignment?.bits(of: source.tensors) ?? options.bits,
        tableBits: assignment?.tableBits ?? options.resolvedTableBits,
        targetBits: options.targetBits,
        outliers: options.usesBlocks ? options.outliers.description : "0"),
      source: .init(
        format: provenance.format, name: provenance.name, files: provenance.files,
        bytes: provenance.byteCount, types: provenance.storedTypes),
      writtenBy: "ember \(Self.version)", chatTemplate: source.chatTemplate,
      stopTokens: source.stopTokens.isEmpty ? nil : source.stopTokens)
  }

  /// The version that files say they were written by.
  public static let version = "0.1.0"

  private func refuseOverwritingInput(_ source: Checkpoint) throws(QuantizerError) {
    func resolved(_ path: FilePath) -> String {
      URL(filePath: path.string).resolvingSymlinksInPath().standardizedFileURL.path
    }
    let target = resolved(output)
    var inputs = [resolved(checkpoint)]
    let isFolder = (try? FileManager.default.contentsOfDirectory(atPath: checkpoint.string)) != nil
    let folder = isFolder ? checkpoint : checkpoint.removingLastComponent()
    let beside = [
      "config.json", "model.safetensors.index.json", "pytorch_model.bin.index.json",
      "tokenizer.json", "tokenizer.bin", "tokenizer.model", "spiece.model",
      "tokenizer_config.json", "generation_config.json",
      "chat_template.jinja",
    ]
    inputs += (source.provenance.files + beside).map { resolved(folder.appending($0)) }
    switch source.tokenizerSource {
    case .llama2c(let path), .huggingFace(let path), .sentinels(let path, count: _),
      .other(let path), .gguf(_, file: let path):
      inputs.append(resolved(path))
    case .marian(let folder):
      inputs += [
        TokenizerSource.marianSource, TokenizerSource.marianTarget,
        TokenizerSource.marianVocabulary,
      ].map { resolved(folder.appending($0)) }
    case nil: break
    }
    if inputs.contains(target) { throw .outputIsInput(path: output.string) }
    guard let statistics = options.statisticsOutput else { return }
    if inputs.contains(resolved(statistics)) {
      throw .outputIsInput(path: statistics.string, option: "--save-statistics")
    }
    if resolved(statistics) == target {
      throw .invalidOption(
        name: "--save-statistics", expected: "another file than the model's",
        found: statistics.string)
    }
  }
}

extension QuantizationOptions {
  /// - Throws: `QuantizerError.invalidOption`
  func validate() throws(QuantizerError) {
    func check(_ name: String, _ bits: Int) throws(QuantizerError) {
      if ![4, 5, 6, 8, 16].contains(bits) {
        throw .invalidOption(name: name, expected: "4, 5, 6, 8 or 16", found: "\(bits)")
      }
    }
    try check("--bits", bits)
    try check("--table-bits", resolvedTableBits)
    if let targetBits, !targetBits.isFinite {
      throw .invalidOption(
        name: "--target-bits", expected: "a number of bits, such as 5", found: "\(targetBits)")
    }
    if targetBits != nil, tableBits != nil {
      throw .invalidOption(
        name: "--target-bits",
        expected: "no --table-bits beside it, but --tensor-type embedding=q6", found: "both")
    }
    if recipe == .best, calibration == .automatic {
      throw .invalidOption(
        name: "--recipe", expected: "best with --calibrate or --statistics",
        found: "best without a text")
    }
    if statisticsOutput != nil, calibration == .automatic {
      throw .invalidOption(
        name: "--save-statistics", expected: "--calibrate or --statistics beside it",
        found: "neither")
    }
    for rule in tensorTypes where rule.type == .f32 {
      throw .invalidOption(
        name: "--tensor-type", expected: "q4n, q4, q5, q6, q8 or f16", found: rule.type.name)
    }
    if case .percent(let share) = outliers, share > 0, !usesBlocks {
      throw .invalidOption(
        name: "--outliers", expected: "auto or 0 at 16 bits, where all weights are fp16 anyway",
        found: "\(share)")
    }
    if case .percent(let share) = outliers, !(share >= 0 && share <= 10) {
      throw .invalidOption(
        name: "--outliers", expected: "auto or a percentage from 0 to 10", found: "\(share)")
    }
  }
}

extension ConversionSummary {
  fileprivate mutating func add(
    _ layout: TensorLayout, _ loss: MatrixConverter.Loss, named name: String
  ) {
    matrixWeightCount += layout.rows * layout.columns
    matrixBytes += layout.byteCount
    outlierCount += loss.outlierCount
    if layout.type.allowsOutliers { blockWeightCount += layout.rows * layout.columns }
    if loss.relative > largestRelativeError?.error ?? 0 {
      largestRelativeError = (name, loss.relative)
    }
  }
}
