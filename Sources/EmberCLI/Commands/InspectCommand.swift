import ArgumentParser
import Ember
import EmberFormat

/// `ember inspect`: what is in the file.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what a model file holds.",
    discussion: """
      Prints the architecture, how the weights were quantized and from what, and a table of the \
      tensors: type, shape (outputs × inputs), bytes, weights kept in fp16 (outliers), and the \
      error of quantization relative to the weights (root mean square).

        ember inspect model.q4
        ember inspect model.q4 --json
        ember inspect model.q4 --outliers --plot outliers.svg

      With --outliers: where the weights in fp16 are, matrix by matrix. "columns" are those with \
      outliers in 6 % of the rows or more; columns of the residual stream for which that is so in \
      several matrices are listed together, since they are the same feature in every layer. \
      "rows" have four times as many outliers as the mean row. The histogram tells how far outliers \
      stand out: below 1 \
      they would have fitted their block. Reads the outliers, not all weights; `ember verify` \
      compares checksums.
      """)

  @Argument(help: "Model file to look into.", completion: .file(), transform: filePath)
  var file: FilePath

  @Flag(name: .long, help: "Show where the outliers are instead of the tensors.")
  var outliers = false

  @OptionGroup var plot: PlotOption
  @OptionGroup var json: JSONOption

  func validate() throws {
    if plot.path != nil, !outliers {
      throw ValidationError("--plot: expected together with --outliers, which it draws")
    }
  }

  func run() throws {
    UnsafeSignalHandlers.exitOnSignals()
    UnsafeSignalHandlers.reportFaults(in: [file])
    try plot.check(inputs: [file])
    let loaded = try LoadedModel(opening: file)
    if outliers { return try runOutliers(loaded.model) }
    let report = InspectReport(loaded)
    if json.json {
      try JSONOutput.write(report)
    } else {
      try StandardOutput.write(report.text)
    }
  }
}

extension InspectCommand {
  private func runOutliers(_ model: Model) throws {
    let survey = try OutlierSurvey(of: model)
    try plot.write(survey.svg())
    let report = OutlierReport(survey)
    if json.json {
      try JSONOutput.write(report)
    } else {
      try StandardOutput.write(report.text)
    }
  }
}

private struct InspectReport: Encodable {
  var file: String
  var fileBytes: Int
  var formatVersion: Int
  var writtenBy: String
  var architecture: Architecture
  var recipe: ModelMetadata.Recipe
  var source: ModelMetadata.Source
  var tokenizer: String
  var vocabularySize: Int
  var parameters: Int
  var bitsPerWeight: Double
  var fileBitsPerWeight: Double
  var weightBytesPerToken: Int
  var outlierShare: Double
  var tensors: [Tensor]

  struct Tensor: Encodable {
    var name: String
    var type: String
    var rows: Int
    var columns: Int
    var bytes: Int
    var outliers: Int
    var relativeError: Float
  }

  init(_ loaded: LoadedModel) {
    let model = loaded.model
    file = model.file.path.string
    fileBytes = model.file.fileBytes
    formatVersion = model.file.version
    writtenBy = model.metadata.writtenBy
    architecture = model.architecture
    recipe = model.metadata.recipe
    source = model.metadata.source
    tokenizer = loaded.tokenizer.kindDescription
    vocabularySize = model.architecture.vocabularySize
    parameters = model.parameterCount
    bitsPerWeight = model.bitsPerWeight
    fileBitsPerWeight = model.fileBitsPerWeight
    weightBytesPerToken = model.weightBytesPerToken
    tensors = model.file.tensors.map {
      Tensor(
        name: $0.name, type: $0.layout.type.name, rows: $0.layout.rows,
        columns: $0.layout.columns, bytes: $0.byteCount, outliers: $0.outlierCount,
        relativeError: $0.relativeError)
    }
    var (outliers, weights) = (0, 0)
    for tensor in model.file.tensors where tensor.layout.type.allowsOutliers {
      outliers += tensor.outlierCount
      weights += tensor.layout.rows * tensor.layout.columns
    }
    outlierShare = weights == 0 ? 0 : Double(outliers) / Double(weights)
  }

  var text: String {
    let table = TextTable(
      header: ["tensor", "type", "shape", "bytes", "outliers", "error"],
      rows: tensors.map { tensor in
        [
          tensor.name, tensor.type, "\(tensor.rows) × \(tensor.columns)",
          Format.grouped(tensor.bytes), Format.grouped(tensor.outliers),
          Format.percent(Double(tensor.relativeError), 3),
        ]
      }, alignments: [.left, .left])
    return summary + "\n" + table.rendered(as: .listing)
  }

  private var summary: String {
    let a = architecture
    let attention = a.attention
    return Listing.rendered([
      ("file", OneLine.escape("\(file), version \(formatVersion), by \(writtenBy)")),
      ("size", Format.bytes(fileBytes)),
      ("architecture", OneLine.escape(a.name)),
      (
        "layers",
        "\(a.layerCount), width \(a.width), "
          + (a.feedForward.experts?.words ?? "feed-forward \(a.feedForwardWidth)")
          + (a.encoder.map {
            "; encoder: \($0.layerCount), feed-forward \($0.feedForwardWidth)"
          } ?? "")
      ),
      (
        "attention",
        "\(attention.headCount) heads of \(attention.headDimension),"
          + " \(attention.keyValueHeadCount) for keys and values"
      ),
      ("context", "\(a.contextLength) tokens, positions \(a.position.words)"),
      (
        "blocks",
        "\(a.norm.kind.words) (epsilon \(Format.significant(Double(a.norm.epsilon)))),"
          + " \(a.feedForward.kind.rawValue) feed-forward with \(a.feedForward.activation.rawValue),"
          + " head \(a.tiedHead ? "tied to the embedding" : "of its own")"
      ),
      ("tokenizer", tokenizer),
      ("parameters", Format.grouped(parameters)),
      (
        "recipe",
        "\(recipe.bits) bits, tables \(recipe.tableBits) bits, outliers"
          + " \(OneLine.escape(recipe.outliers)) (\(Format.percent(outlierShare, 3)) found)"
      ),
      (
        "bits per weight",
        "\(Format.fixed(bitsPerWeight, 3)) quantized tensors,"
          + " \(Format.fixed(fileBitsPerWeight, 3)) whole file"
      ),
      ("read per token", Format.bytes(weightBytesPerToken)),
      (
        "made from",
        OneLine.escape(
          "\(source.name) (\(source.format), \(source.types.joined(separator: ", ")),"
            + " \(Format.grouped(source.bytes)) bytes in \(source.files.joined(separator: ", ")))")
      ),
    ])
  }
}

extension Architecture.Experts {
  fileprivate var words: String {
    "\(count) experts of \(width), \(used) for each token"
      + (sharedWidth.map { ", and one of \($0) for all" } ?? "")
  }
}

extension Architecture.Norm.Kind {
  fileprivate var words: String {
    switch self {
    case .rootMeanSquare: "RMSNorm"
    case .layer: "LayerNorm"
    }
  }
}

extension Architecture.Position {
  fileprivate var words: String {
    switch self {
    case .learned:
      "learned"
    case .linearBias:
      "linear bias of attention (ALiBi)"
    case .sinusoidal:
      "sinusoidal"
    case .relativeBias(let buckets, let maximum):
      "relative bias of attention (\(buckets) buckets, up to a distance of \(maximum))"
    case .rotary(let base, let dimensions, let pairing, let scaling, let localBase):
      "rotary (base \(base), \(dimensions) dimensions, \(pairing.rawValue) pairs"
        + (scaling.map { ", scaled: \($0.words)" } ?? "")
        + (localBase.map { ", base \($0) within the window" } ?? "") + ")"
    }
  }
}

extension Architecture.RotaryScaling {
  fileprivate var words: String {
    switch self {
    case .linear(let factor): "linear, \(factor) times"
    case .dynamic(let factor, let original): "dynamic NTK, \(factor) times from \(original) tokens"
    case .yarn(let factor, let original, _, _, _, _): "YaRN, \(factor) times \(original) tokens"
    case .llama3(let factor, _, _, let original): "Llama 3, \(factor) times \(original) tokens"
    case .longRope(_, _, let original, _): "LongRoPE beyond \(original) tokens"
    }
  }
}
