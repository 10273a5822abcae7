import EmberFormat
public import EmberModel
import EmberTokenizer
public import SystemPackage

/// What a model's weights would take at another precision, told from shapes alone.
///
/// ```swift
/// let forecast = try ConversionForecast(of: "my-model", options: QuantizationOptions(bits: 4))
/// let plan = try MemoryPlan(
///   forecast.inventory, forecast.architecture, MemoryRequest(), resident: 30_000_000, name: "q4")
/// ```
///
/// Types and layouts are those that the converter chooses by itself, so that sizes are exact but for
/// what only the weights can tell: outliers of `auto`, which are counted as none. On trained and on
/// random weights (novel-llama, novel-gpt2, a random model of 1.1 billion weights) `auto` kept none
/// in 4, 5, 6 and 8 bits; each step of outliers that it does keep costs 32 bits per row.
public struct ConversionForecast: Sendable {
  public let architecture: Architecture
  public let inventory: WeightInventory
  public let options: QuantizationOptions
  /// Bytes of all tensors.
  public let tensorBytes: Int
  /// Of the whole file; nil where only the model is known and not how its tokenizer compresses.
  public private(set) var fileBytes: Int?
  /// Weights, vectors included.
  public let parameterCount: Int
  /// Of a checkpoint: the first of the files that its weights are in.
  public private(set) var weightsFile: FilePath?

  private struct Shape {
    let name: String
    let rows: Int
    let columns: Int
  }

  /// Of a checkpoint that is to be converted: reads headers and the tokenizer, no weights.
  ///
  /// - Throws: `CheckpointError`, `TokenizerError`, `QuantizerError`, `FormatError`
  public init(of checkpoint: FilePath, options: QuantizationOptions) throws {
    try options.validate()
    let source = try CheckpointReader.open(checkpoint, tokenizer: options.tokenizer)
    let (tokenizer, _) = try source.openTokenizer(checkpoint: checkpoint)
    let converter = Converter(checkpoint: checkpoint, output: checkpoint, options: options)
    let metadata = try converter.metadata(of: source, assignment: nil).encoded()
    let shapes = source.tensors.map { Shape(name: $0.name, rows: $0.rows, columns: $0.columns) }
    let layouts = try Self.layouts(shapes, source.architecture, converter)
    guard
      let forecast = Self(
        shapes, layouts, source.architecture, options,
        descriptionBytes: metadata.count + (try source.serialized(tokenizer)).count)
    else { throw CheckpointError.missingTensor(path: checkpoint, tensor: TensorName.embedding) }
    self = forecast
    weightsFile = source.tensors.first?.storage.file.path
    fileBytes = try converter.fileSize(of: source, tokenizer: tokenizer).byteCount(layouts)
  }

  /// Of a model file, if its checkpoint were converted with other options.
  ///
  /// - Throws: `QuantizerError`, `FormatError`
  public init(of model: Model, options: QuantizationOptions) throws {
    try options.validate()
    let converter = Converter(
      checkpoint: model.file.path, output: model.file.path, options: options)
    let shapes = model.file.tensors.map {
      Shape(name: $0.name, rows: $0.layout.rows, columns: $0.layout.columns)
    }
    let layouts = try Self.layouts(shapes, model.architecture, converter)
    guard
      let forecast = Self(
        shapes, layouts, model.architecture, options,
        descriptionBytes: model.inventory.descriptionBytes)
    else {
      // Its weights are bound, so every matrix is there.
      throw ModelError.missingTensor(path: model.file.path.string, name: TensorName.embedding)
    }
    self = forecast
  }

  private init?(
    _ shapes: [Shape], _ layouts: [TensorLayout], _ architecture: Architecture,
    _ options: QuantizationOptions, descriptionBytes: Int
  ) {
    let tensors = zip(shapes, layouts).map {
      ($0.name, WeightInventory.Tensor(layout: $1, offset: 0))
    }
    guard
      let inventory = WeightInventory(
        architecture: architecture, tensors: Dictionary(tensors) { first, _ in first },
        descriptionBytes: descriptionBytes)
    else { return nil }
    self.architecture = architecture
    self.inventory = inventory
    self.options = options
    tensorBytes = layouts.reduce(0) { $0 + $1.byteCount }
    parameterCount = shapes.reduce(0) { $0 + $1.rows * $1.columns }
  }

  private static func layouts(
    _ shapes: [Shape], _ architecture: Architecture, _ converter: Converter
  ) throws -> [TensorLayout] {
    try shapes.map { shape in
      let type = converter.options.type(
        ofTensor: shape.name, layerCount: architecture.layerCount)
      return try TensorLayout(
        type: type, rows: shape.rows, columns: shape.columns,
        outlierSteps: converter.leastOutlierSteps(of: type, columns: shape.columns))
    }
  }
}
