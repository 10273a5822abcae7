import EmberFormat
import EmberModel
import EmberTokenizer
import SystemPackage

/// A Hugging Face folder: `config.json`, `generation_config.json`, safetensors, and the tokenizer.
struct HuggingFaceExport {
  private let file: ModelFile
  private let options: ExportOptions
  private let configuration: [UInt8]
  private let metadata: ModelMetadata
  private let tokenizer: Tokenizer
  private let tokenizerJSON: [UInt8]
  let name: String
  let plan: ExportPlan
  let warnings: [String] = []

  static let format = "safetensors"

  /// Finds out what would be written; nothing is yet.
  init(
    _ file: ModelFile, metadata: ModelMetadata, tokenizer: Tokenizer, options: ExportOptions
  ) throws {
    self.file = file
    self.metadata = metadata
    self.tokenizer = tokenizer
    self.options = options
    let architecture = metadata.architecture
    let path = file.path.string
    guard
      let description = HuggingFaceDescription(
        architecture, beginOfSequence: tokenizer.beginOfSequence.map { Int($0) },
        endOfSequence: tokenizer.endOfSequence.map { Int($0) },
        stopTokens: metadata.stopTokens ?? [], hasTensor: { file.tensor(named: $0) != nil })
    else {
      throw ExportError.unknownArchitecture(
        model: path, found: architecture.name, format: Self.format,
        known: HuggingFaceDescription.known)
    }
    name = description.name
    configuration = description.json
    // What was written is read as anybody would read it: only then is it known to say all.
    let reader = try HuggingFaceConfiguration(text: configuration, path: "config.json")
    let (target, names) = try HuggingFaceArchitecture.named(by: reader).describe(reader)
    if let problem = architecture.written(like: target).difference(to: target) {
      throw ExportError.unsupportedFeature(
        model: path, architecture: name, format: Self.format, found: problem.found,
        expected: problem.expected)
    }
    try Self.checkBiases(file, architecture: target, names: names)
    plan = try ExportPlan(
      file: file, architecture: architecture, target: target, names: names, format: Self.format,
      matrixType: { _, _ in .float16 })
    tokenizerJSON = try tokenizer.huggingFaceJSON()
  }

  /// transformers makes a bias where the configuration says so, and nowhere else.
  private static func checkBiases(
    _ file: ModelFile, architecture: Architecture, names: TensorNameMap
  ) throws(ExportError) {
    for matrix in TensorName.Matrix.allCases {
      guard let name = names.matrices[matrix] else { continue }
      let bias = TensorName.bias(matrix, layer: 0)
      let hasBias = file.tensor(named: bias) != nil
      if hasBias != (name.bias == .required) {
        throw .unsupportedFeature(
          model: file.path.string, architecture: architecture.name, format: Self.format,
          found: hasBias ? "the tensor '\(bias)'" : "no tensor '\(bias)'",
          expected: hasBias ? "none" : "one")
      }
    }
  }

  /// Writes all files into a folder; returns their names and bytes.
  func write(to folder: FilePath, _ output: inout TensorOutput) throws -> [(String, Int)] {
    var files: [(String, Int)] = []
    func add(_ name: String, _ bytes: [UInt8]) throws {
      try FileReplacement.write(bytes, to: folder.appending(name))
      files.append((name, bytes.count))
    }
    files += try SafetensorsOutput.write(
      plan.tensors, to: folder, shardBytes: options.shardBytes, &output)
    try add("tokenizer.json", tokenizerJSON)
    try add("tokenizer_config.json", tokenizerConfiguration)
    try add("generation_config.json", generationConfiguration)
    try add(HuggingFaceReader.configurationName, configuration)
    return files
  }

  private func idOf(_ id: Int32?) -> EmberTokenizer.JSONValue {
    id.map { .integer(Int($0)) } ?? .null
  }

  private var tokenizerConfiguration: [UInt8] {
    var text = JSONText()
    text.object { text in
      text.key("tokenizer_class")
      text.string("PreTrainedTokenizerFast")
      for (key, id) in [
        ("bos_token", tokenizer.beginOfSequence), ("eos_token", tokenizer.endOfSequence),
      ] {
        guard let id, let name = tokenizer.name(of: id) else { continue }
        text.key(key)
        text.string(name)
      }
      text.key("clean_up_tokenization_spaces")
      text.boolean(false)
      text.key("model_max_length")
      text.integer(metadata.architecture.contextLength)
      if let template = metadata.chatTemplate {
        text.key("chat_template")
        text.string(template)
      }
    }
    return text.bytes
  }

  private var generationConfiguration: [UInt8] {
    var text = JSONText()
    text.object { text in
      text.key("bos_token_id")
      text.value(idOf(tokenizer.beginOfSequence))
      text.key("eos_token_id")
      if let stops = metadata.stopTokens, stops.count > 1 {
        text.array { for stop in stops { $0.integer(stop) } }
      } else {
        text.value(idOf(tokenizer.endOfSequence))
      }
    }
    return text.bytes
  }
}

extension Architecture {
  /// The same model under the name and in the order of heads' elements that a format has.
  func written(like target: Architecture) -> Architecture {
    var copy = self
    copy.name = target.name
    if case .rotary(let base, let dimensions, _, let scaling, let localBase) = position,
      case .rotary(_, _, let pairing, _, _) = target.position
    {
      copy.position = .rotary(
        base: base, dimensions: dimensions, pairing: pairing, scaling: scaling,
        localBase: localBase)
    }
    return copy
  }
}
