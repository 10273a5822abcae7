import EmberFormat
import EmberModel
import EmberQuantizer
import EmberTestSupport
import EmberTokenizer
import Foundation
import SystemPackage
import Testing

/// A model written as a Hugging Face folder, and read again as any other.
@Suite("Export, safetensors")
struct SafetensorsExportTests {
  private static let names =
    ArchitectureCheckpoint.all.map(\.name) + ExpertCheckpoint.all.map(\.name)

  @Test("16 bits there and back are the same bits", arguments: names)
  func roundTrip(name: String) throws {
    let fixture = try ExportFixture(name)
    let summary = try fixture.export(.safetensors, to: "export")
    #expect(!summary.isQuantized)
    try ExportFixture.convert(fixture.path("export"), to: fixture.path("copy"))
    let (model, copy) = (
      try ModelFile(opening: fixture.model), try ModelFile(opening: fixture.path("copy"))
    )
    #expect(model.tensors.map(\.name) == copy.tensors.map(\.name))
    for (one, other) in zip(model.tensors, copy.tensors) {
      #expect(one.layout == other.layout, "\(one.name)")
      #expect(one.checksum == other.checksum, "\(one.name)")
    }
    #expect(model.tokenizer == copy.tokenizer)
    let path = fixture.model.string
    var (one, other) = (
      try ModelMetadata(decoding: model.metadata, path: path),
      try ModelMetadata(decoding: copy.metadata, path: path)
    )
    other.source = one.source
    one.architecture.name = other.architecture.name
    #expect(one == other)
    #expect(try fixture.leftovers == [])
  }

  @Test(
    "4 bits become the halves nearest to what Ember computes with", arguments: ["llama", "phi"])
  func quantized(name: String) throws {
    let fixture = try ExportFixture(name, bits: 4, outliers: .percent(2))
    let summary = try fixture.export(.safetensors, to: "export")
    #expect(summary.isQuantized)
    let expected = try ModelValues.of(fixture.model)
    let checkpoint = try CheckpointReader.open(fixture.path("export"))
    #expect(checkpoint.warnings == [])
    #expect(Set(checkpoint.tensors.map(\.name)) == Set(expected.keys))
    for tensor in checkpoint.tensors where tensor.rows > 1 {
      // Of two norms that share a place, the second one's columns are levelled otherwise.
      if name == "phi", tensor.name.hasSuffix("feed_forward.up.weight") { continue }
      let values = try #require(expected[tensor.name])
      #expect(try tensor.allValues == ModelValues.rounded(values), "\(tensor.name)")
    }
  }

  @Test func emergentColumnsBehindOneNorm() throws {
    // Phi has one norm for both blocks; conversion levels the columns behind each by itself.
    let fixture = try ExportFixture {
      let source = $0.appending(path: "checkpoint")
      let checkpoint = try #require(ArchitectureCheckpoint.all.first { $0.name == "phi" })
      try checkpoint.write(to: source, weights: "phi")
      return FilePath(source.path)
    } convert: {
      try ExportFixture.convert($0, to: $1, bits: 8)
    }
    try fixture.export(.safetensors, to: "export")
    try ExportFixture.convert(fixture.path("export"), to: fixture.path("copy"), bits: 16)
    func logits(_ path: FilePath) throws -> [Float] {
      try InferenceSession(model: Model(opening: path), threads: 1).append([1, 20, 30, 40])
    }
    let (one, other) = (try logits(fixture.model), try logits(fixture.path("copy")))
    let distance = zip(one, other).map { abs($0 - $1) }.max() ?? .infinity
    // Activations beside blocks have 8 bits.
    #expect(distance < 0.1, "\(distance)")
  }

  @Test func severalFiles() throws {
    let fixture = try ExportFixture("llama")
    let summary = try fixture.export(.safetensors, to: "export") { $0.shardBytes = 20_000 }
    #expect(summary.files.count { $0.hasSuffix(".safetensors") } > 2)
    #expect(summary.files.contains("model.safetensors.index.json"))
    #expect(!summary.files.contains("model.safetensors"))
    try ExportFixture.convert(fixture.path("export"), to: fixture.path("copy"))
    #expect(
      try ModelFile(opening: fixture.model).tensors
        == ModelFile(opening: fixture.path("copy")).tensors)
  }

  @Test func foldersWithFiles() throws {
    let fixture = try ExportFixture("llama")
    try fixture.export(.safetensors, to: "export") { $0.shardBytes = 20_000 }
    let note = fixture.folder.appending(path: "export/note.txt")
    try Data("mine".utf8).write(to: note)
    let path = fixture.path("export").string
    #expect(throws: ExportError.folderNotEmpty(path: path)) {
      try fixture.export(.safetensors, to: "export")
    }
    try fixture.export(.safetensors, to: "export") { $0.isForced = true }
    let names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    #expect(
      names == [
        "config.json", "generation_config.json", "model.safetensors", "note.txt",
        "tokenizer.json", "tokenizer_config.json",
      ])
    // An empty folder is as good as none.
    let empty = fixture.folder.appending(path: "empty")
    try FileManager.default.createDirectory(at: empty, withIntermediateDirectories: false)
    try fixture.export(.safetensors, to: "empty")
    #expect(throws: FormatError.self) { try fixture.export(.safetensors, to: "model") }
    #expect(try fixture.leftovers == [])
  }

  @Test func aStoppedExportLeavesNothing() throws {
    let fixture = try ExportFixture("llama")
    for format in ExportFormat.allCases {
      let exporter = Exporter(
        model: fixture.model, output: fixture.path("export"),
        options: ExportOptions(format: format))
      var asked = 0
      #expect(throws: ExportError.cancelled) {
        try exporter.run(isCancelled: {
          asked += 1
          return asked > 5
        })
      }
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: fixture.folder.path).sorted()
          == ["checkpoint", "model"])
    }
  }

  @Test func refusals() throws {
    let fixture = try ExportFixture("llama")
    #expect(
      throws: ExportError.unsupportedType(format: "safetensors", found: "q8_0", expected: "f16")
    ) {
      try fixture.export(.safetensors, type: .q8x0, to: "export")
    }
    let error = #expect(throws: ExportError.self) {
      try fixture.export(.gguf, to: "export") { $0.memory = .bytes(1_000_000) }
    }
    #expect(error?.description.contains("--memory") == true)
    #expect(throws: ExportError.outputIsInput(path: fixture.model.string)) {
      try fixture.export(.gguf, to: "model")
    }
  }

  @Test func chatTemplateAndStopTokens() throws {
    let fixture = try ExportFixture {
      let source = $0.appending(path: "checkpoint")
      let checkpoint = try #require(ArchitectureCheckpoint.all.first { $0.name == "llama" })
      try checkpoint.write(to: source, weights: "llama")
      try Data(#"{"chat_template": "{{ \"é\\n\" }}"}"#.utf8)
        .write(to: source.appending(path: "tokenizer_config.json"))
      try Data(#"{"eos_token_id": [257, 3]}"#.utf8)
        .write(to: source.appending(path: "generation_config.json"))
      return FilePath(source.path)
    } convert: {
      try ExportFixture.convert($0, to: $1)
    }
    try fixture.export(.safetensors, to: "export")
    try fixture.export(.gguf, to: "export.gguf")
    for name in ["export", "export.gguf"] {
      let checkpoint = try CheckpointReader.open(fixture.path(name))
      #expect(checkpoint.chatTemplate == "{{ \"é\\n\" }}")
      #expect(checkpoint.stopTokens == [3, 257])
    }
  }
}
