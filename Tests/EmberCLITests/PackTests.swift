import EmberTestSupport
import Foundation
import Testing

@Suite("ember pack and ember unpack")
struct PackTests {
  @Test("There and back again, under the names that follow from each other")
  func roundTrip() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    let model = try checkpoint.bytes(of: "model.q4")
    let packed = try await checkpoint.ember("pack", "model.q4", "--json")
    #expect(packed.status == 0 && packed.error.isEmpty, "\(packed)")
    #expect(try packed.json["output"] as? String == "model.q4.zst")
    #expect(try packed.json["model_bytes"] as? Int == model.count)
    let archive = try checkpoint.bytes(of: "model.q4.zst")
    #expect(try packed.json["packed_bytes"] as? Int == archive.count)
    try FileManager.default.removeItem(atPath: checkpoint.path("model.q4"))
    let unpacked = try await checkpoint.ember("unpack", "model.q4.zst")
    #expect(unpacked.status == 0 && unpacked.error.isEmpty, "\(unpacked)")
    #expect(unpacked.output.hasPrefix("wrote        model.q4\n"))
    #expect(try checkpoint.bytes(of: "model.q4") == model)
    // Levels and threads.
    let other = try await checkpoint.ember(
      "pack", "model.q4", "-o", "other.zst", "--level", "19", "--threads", "3")
    #expect(other.status == 0)
    let back = try await checkpoint.ember("unpack", "other.zst", "-o", "back", "--threads", "1")
    #expect(back.status == 0)
    #expect(try checkpoint.bytes(of: "back") == model)
    #expect(
      try checkpoint.files
        == ["back", "model.bin", "model.q4", "model.q4.zst", "other.zst", "tokenizer.bin"])
  }

  @Test("Through pipes")
  func pipes() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    let model = try checkpoint.bytes(of: "model.q4")
    let script = #""$0" pack model.q4 -o - | "$0" unpack - -o - | "$0" pack /dev/stdin -o x"#
    // A model must be a file, since it is verified where it lies.
    let refused = try await EmberProcess.run(
      [], in: checkpoint.folder, by: ["/bin/sh", "-c", script])
    #expect(refused.status == 66, "\(refused)")
    let result = try await EmberProcess.run(
      [], in: checkpoint.folder,
      by: [
        "/bin/sh", "-c",
        #""$0" pack model.q4 -o - | "$0" unpack - -o - >out && "$0" pack model.q4 -o - | "$0" unpack - -o file"#,
      ])
    #expect(result.status == 0, "\(result)")
    #expect(try checkpoint.bytes(of: "out") == model)
    #expect(try checkpoint.bytes(of: "file") == model)
  }

  @Test("What is refused, and that nothing is left")
  func errors() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    #expect(try await checkpoint.ember("pack", "model.q4").status == 0)
    let archive = try checkpoint.bytes(of: "model.q4.zst")
    try checkpoint.write(Array(archive.dropLast(100)), to: "short.zst")
    var flipped = archive
    flipped[archive.count / 2] ^= 4
    try checkpoint.write(flipped, to: "flipped.zst")
    let before = try checkpoint.files
    for (arguments, status, words) in [
      (["pack", "missing"], 66, "no such file"), (["pack", "."], 66, "folder"),
      (["pack", "model.bin"], 65, "ember quantize"),
      (["pack", "model.q4.zst"], 65, "ember unpack"),
      (["pack", "model.q4", "-o", "model.q4"], 73, "-o"),
      (["pack", "model.q4", "-o", "./model.q4"], 73, "-o"),
      (["pack", "model.q4", "-o", "nowhere/x"], 73, "nowhere"),
      (["pack", "model.q4", "-o", "x/"], 73, "folder"),
      (["pack", "model.q4", "-o", "/dev/null"], 73, "device"),
      (["pack", "model.q4", "--level", "20"], 64, "--level"),
      (["pack", "model.q4", "--level", "0"], 64, "--level"),
      (["pack", "model.q4", "-o", "-", "--json"], 64, "--json"),
      (["unpack", "missing.zst"], 66, "no such file"),
      (["unpack", "model.q4"], 64, "-o"), (["unpack", "-"], 64, "-o"),
      (["unpack", "model.q4", "-o", "x"], 65, "needs no unpacking"),
      (["unpack", "tokenizer.bin", "-o", "x"], 65, "not a packed model"),
      (["unpack", "model.q4.zst", "-o", "model.q4.zst"], 73, "-o"),
      (["unpack", "short.zst", "-o", "x"], 65, "bytes are missing"),
      (["unpack", "flipped.zst", "-o", "x"], 65, "frame 0"),
      (["unpack", "-", "-o", "x"], 65, "an empty file"),
      (["run", "model.q4.zst", "--prompt", "the"], 65, "ember unpack"),
    ] {
      let result = try await EmberProcess.run(arguments, in: checkpoint.folder)
      #expect(result.isError(Int32(status)), "\(arguments): \(result)")
      #expect(result.error.contains(words), "\(arguments): \(result.error)")
    }
    #expect(try checkpoint.files == before)
  }

  @Test("A limit on file size, as a full disk, is one clear error, and the old file stays")
  func diskFull() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    #expect(try await checkpoint.ember("pack", "model.q4").status == 0)
    let before = try checkpoint.files
    let archive = try checkpoint.bytes(of: "model.q4.zst")
    for arguments in [["pack", "model.q4"], ["unpack", "model.q4.zst"]] {
      let result = try await EmberProcess.run(
        arguments, in: checkpoint.folder,
        by: ["/bin/sh", "-c", "ulimit -f 16; exec \"$0\" \"$@\""])
      #expect(result.isError(74), "\(result)")
      #expect(try checkpoint.files == before)
      #expect(try checkpoint.bytes(of: "model.q4.zst") == archive)
    }
  }
}
