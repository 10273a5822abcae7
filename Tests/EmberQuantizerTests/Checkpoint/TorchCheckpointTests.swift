import EmberQuantizer
import EmberTestSupport
import Foundation
import SystemPackage
import Testing

/// Checkpoints as PyTorch saves them, in each of its formats (tools/fixtures/make_checkpoint_torch.py).
@Suite struct TorchCheckpointTests {
  private static func path(_ name: String) -> FilePath {
    FilePath(TestData.bundled("Tests/fixtures/checkpoints/torch-\(name)"))
  }

  @Test(
    "The values of safetensors",
    arguments: [
      ("zip", ["F16", "F64"], 1), ("legacy", ["F32"], 1), ("sharded", ["BF16"], 2),
    ])
  func values(name: String, types: [String], files: Int) throws {
    let checkpoint = try CheckpointReader.open(Self.path(name))
    let fixture = try CheckpointFixture()
    try fixture.writeLlama()
    let expected = try CheckpointReader.open(fixture.path)
    #expect(checkpoint.architecture == expected.architecture)
    #expect(checkpoint.tensors.map(\.name) == expected.tensors.map(\.name))
    for tensor in expected.tensors {
      let found = try checkpoint.tensor(tensor.name)
      #expect(found.rows == tensor.rows && found.columns == tensor.columns)
      let values: [Float] = try tensor.values()
      #expect(try found.values() == values, "\(tensor.name)")
      if tensor.rows > 5 {
        let part = Array(values[(2 * tensor.columns)..<(5 * tensor.columns)])
        #expect(try found.values(rows: 2..<5) == part, "\(tensor.name)")
      }
    }
    #expect(checkpoint.provenance.format == "PyTorch")
    #expect(checkpoint.provenance.storedTypes == types)
    #expect(checkpoint.provenance.files.count == files)
    // A shared storage is a tensor like others; whole numbers are no trouble where none are needed.
    #expect(
      checkpoint.warnings
        == (name == "zip" ? ["unused tensors in the checkpoint: lm_head.weight, spare"] : []))
  }

  @Test func aFileStandsForItsFolder() throws {
    let zip = Self.path("zip").appending("pytorch_model.bin")
    #expect(try CheckpointReader.open(zip).tensors.count == 20)
    let shard = Self.path("sharded").appending("pytorch_model-00002-of-00002.bin")
    #expect(try CheckpointReader.open(shard).tensors.count == 20)
    let fixture = try CheckpointFixture()
    try fixture.write([0x50, 0x4B, 3, 4], to: "model.bin")
    #expect(openingError(fixture.path("model.bin")) == .noConfiguration(folder: fixture.path))
  }

  @Test func stridesAreNamed() throws {
    let error = try #require(openingError(Self.path("strided")))
    #expect(error.category == .unsupported)
    #expect(error.description.contains("strides [32, 2]"))
  }

  @Test func everyTruncationIsNoticed() throws {
    for name in ["zip", "legacy"] {
      let fixture = try CheckpointFixture()
      try fixture.write(CheckpointFixture.llamaConfiguration)
      let whole = try Array(
        Data(contentsOf: URL(filePath: Self.path(name).string + "/pytorch_model.bin")))
      for length in Array(1..<20) + Array(stride(from: 20, to: whole.count, by: 61)) {
        try fixture.write(Array(whole[..<length]), to: "pytorch_model.bin")
        let error = openingError(fixture.path)
        #expect(error?.category == .damaged, "\(name), \(length) bytes")
      }
    }
  }

  /// Whatever one byte of the pickle or the directory becomes: an error of one line, or another model.
  @Test func everyBrokenByteEndsWell() throws {
    for name in ["zip", "legacy"] {
      let fixture = try CheckpointFixture()
      try fixture.write(CheckpointFixture.llamaConfiguration)
      let whole = try Array(
        Data(contentsOf: URL(filePath: Self.path(name).string + "/pytorch_model.bin")))
      let places =
        Array(stride(from: 0, to: 3000, by: 13))
        + Array(stride(from: whole.count - 1800, to: whole.count, by: 7))
      var errors = 0
      for place in places {
        for byte in [0, 0x2E, 0x52, 0x65, 0xFF] as [UInt8] {
          var bytes = whole
          bytes[place] = byte
          try fixture.write(bytes, to: "pytorch_model.bin")
          if let error = openingError(fixture.path) {
            errors += 1
            #expect(!error.description.contains("\n"))
          }
        }
      }
      #expect(errors > 300)
    }
  }
}
