import EmberFormat
import EmberModel
import EmberTokenizer
import SystemPackage

/// A GGUF file of version 3, as llama.cpp reads it: metadata, vocabulary and tensors in one
/// (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).
struct GGUFExport {
  let name: String
  let plan: ExportPlan
  private(set) var warnings: [String]
  private let fields: [(key: String, value: GGUFField)]

  static let format = "GGUF"
  private static let alignment = 32

  /// Finds out what would be written; nothing is yet.
  init(
    _ file: ModelFile, metadata: ModelMetadata, tokenizer: Tokenizer, type: ExportType
  ) throws {
    let architecture = metadata.architecture
    let path = file.path.string
    guard let description = GGUFDescription(architecture) else {
      throw ExportError.unknownArchitecture(
        model: path, found: architecture.name, format: Self.format, known: GGUFDescription.known)
    }
    name = description.name
    let (target, names) = try Self.read(description, of: file, architecture)
    var expected = architecture.written(like: target)
    if !description.factors.isEmpty { expected.position.removeScaling() }
    if let problem = expected.difference(to: target) {
      throw ExportError.unsupportedFeature(
        model: path, architecture: name, format: Self.format, found: problem.found,
        expected: problem.expected)
    }
    try Self.checkBiases(file, description)
    var plan = try ExportPlan(
      file: file, architecture: architecture, target: target, names: names, format: Self.format,
      matrixType: { Self.elementType($0, columns: $1, type: type) })
    for factors in description.factors { plan.add(factors.name, constants: factors.values) }
    self.plan = plan

    let (vocabulary, dropped) = try tokenizer.ggufVocabulary(rows: architecture.vocabularySize)
    warnings = description.warnings + dropped
    var fields: [(key: String, value: GGUFField)] = [
      ("general.architecture", .text(name)), ("general.type", .text("model")),
      ("general.name", .text(metadata.source.name)),
      // `llama_ftype`: mostly F16, or mostly Q8_0.
      ("general.file_type", .uint32(type == .f16 ? 1 : 7)),
    ]
    if type == .q8x0 { fields.append(("general.quantization_version", .uint32(2))) }
    fields += description.fields
    fields += Self.fields(of: vocabulary)
    if let stop = metadata.stopTokens?.first(where: { $0 != vocabulary.endOfSequence }) {
      fields.append(("tokenizer.ggml.eot_token_id", .uint32(stop)))
    }
    if let template = metadata.chatTemplate {
      fields.append(("tokenizer.chat_template", .text(template)))
    }
    self.fields = fields
  }

  /// What is written is read as any GGUF file: only then is it known to say all.
  private static func read(
    _ description: GGUFDescription, of file: ModelFile, _ architecture: Architecture
  ) throws(CheckpointError) -> (Architecture, TensorNameMap) {
    var values = ["general.architecture": GGUFValue.string(Array(description.name.utf8))]
    for (key, field) in description.fields {
      // Its factors are tensors, which are not there to be read.
      if !description.factors.isEmpty, key.hasSuffix("rope.scaling.type") { continue }
      values[key] = field.value
    }
    // The reader looks at the shapes of two tables; their contents are elsewhere.
    let source = try CheckpointFile(opening: file.path)
    let table = StoredTensor(
      file: source, offset: 0, type: .float16, typeName: StoredType.float16.rawValue,
      shape: [architecture.vocabularySize, architecture.width])
    var tensors = ["token_embd.weight": table]
    if !architecture.tiedHead { tensors["output.weight"] = table }
    let metadata = GGUFMetadata(
      path: file.path, values: values, architecture: description.name)
    return try GGUFArchitecture.named(by: metadata).describe(
      GGUFModel(
        metadata: metadata,
        tensors: StoredTensors(format: format, files: [source], tensors: tensors)))
  }

  private static func checkBiases(
    _ file: ModelFile, _ description: GGUFDescription
  ) throws(ExportError) {
    let (allowed, areRequired) = description.biases
    for matrix in TensorName.Matrix.allCases {
      let bias = TensorName.bias(matrix, layer: 0)
      let hasBias = file.tensor(named: bias) != nil
      let isFine = hasBias ? allowed.contains(matrix) : !areRequired || !allowed.contains(matrix)
      if !isFine {
        throw .unsupportedFeature(
          model: file.path.string, architecture: description.name, format: format,
          found: hasBias ? "the tensor '\(bias)'" : "no tensor '\(bias)'",
          expected: hasBias ? "none" : "one")
      }
    }
  }

  /// As llama.cpp's converter does: what its graphs add, and a router's matrix, in single precision;
  /// rows that are no whole blocks in halves.
  private static func elementType(
    _ canonical: String, columns: Int, type: ExportType
  ) -> ExportTensor.ElementType {
    if canonical == TensorName.position || canonical.hasSuffix("router.weight") { return .float32 }
    return type == .q8x0 && columns % 32 == 0 ? .q8x0 : .float16
  }

  private static func fields(of vocabulary: GGUFVocabulary) -> [(key: String, value: GGUFField)] {
    var fields: [(String, GGUFField)] = [("model", .text(vocabulary.model))]
    if let name = vocabulary.preTokenizer { fields.append(("pre", .text(name))) }
    fields.append(("tokens", .strings(vocabulary.tokens)))
    if !vocabulary.scores.isEmpty { fields.append(("scores", .floats(vocabulary.scores))) }
    fields.append(("token_type", .integers(vocabulary.tokenTypes)))
    if !vocabulary.merges.isEmpty { fields.append(("merges", .strings(vocabulary.merges))) }
    for (key, id) in [
      ("bos_token_id", vocabulary.beginOfSequence), ("eos_token_id", vocabulary.endOfSequence),
      ("unknown_token_id", vocabulary.unknown),
    ] {
      if let id { fields.append((key, .uint32(id))) }
    }
    for (key, flag) in [
      ("add_bos_token", vocabulary.addsBeginOfSequence),
      ("add_eos_token", vocabulary.addsEndOfSequence),
      ("add_space_prefix", vocabulary.addsSpacePrefix),
    ] {
      if let flag { fields.append((key, .boolean(flag))) }
    }
    return fields.map { ("tokenizer.ggml." + $0.0, $0.1) }
  }

  // MARK: Writing

  /// Writes the file; returns its size.
  func write(to path: FilePath, _ output: inout TensorOutput) throws -> Int {
    var file = BufferedOutput(try TemporaryFile(replacing: path), at: 0)
    try file.append(header)
    for tensor in plan.tensors {
      try file.pad(to: Self.alignment)
      try output.write(tensor, to: &file)
    }
    // Readers want whole units behind the last tensor, too.
    try file.pad(to: Self.alignment)
    return try file.commit()
  }

  private var header: [UInt8] {
    var bytes = GGUFFile.magic
    bytes += LittleEndianBytes.of(UInt32(3))
    bytes += LittleEndianBytes.of(UInt64(plan.tensors.count))
    bytes += LittleEndianBytes.of(UInt64(fields.count))
    for (key, value) in fields {
      GGUFField.append(Array(key.utf8), to: &bytes)
      value.append(to: &bytes)
    }
    var offset = 0
    for tensor in plan.tensors {
      GGUFField.append(Array(tensor.name.utf8), to: &bytes)
      bytes += LittleEndianBytes.of(UInt32(tensor.shape.count))
      // The fastest dimension first.
      for size in tensor.shape.reversed() { bytes += LittleEndianBytes.of(UInt64(size)) }
      bytes += LittleEndianBytes.of(tensor.type.ggufNumber)
      bytes += LittleEndianBytes.of(UInt64(offset))
      offset += (tensor.byteCount + Self.alignment - 1) / Self.alignment * Self.alignment
    }
    return bytes
  }
}

extension ExportTensor.ElementType {
  /// `ggml_type`
  fileprivate var ggufNumber: UInt32 {
    switch self {
    case .float32: 0
    case .float16: 1
    case .q8x0: 8
    }
  }
}

extension Architecture.Position {
  /// Leaves the rotary embedding as it was before it was stretched.
  fileprivate mutating func removeScaling() {
    if case .rotary(let base, let dimensions, let pairing, _, let localBase) = self {
      self = .rotary(base: base, dimensions: dimensions, pairing: pairing, localBase: localBase)
    }
  }
}
