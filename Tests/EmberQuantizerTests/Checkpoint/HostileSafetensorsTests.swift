import EmberQuantizer
import Foundation
import SystemPackage
import Testing

/// Broken and hostile safetensors files: each ends in an error of one line. The corpus only grows.
@Suite struct HostileSafetensorsTests {
  /// The error that a folder with these weights ends in.
  private func error(_ weights: [UInt8]) throws -> CheckpointError? {
    let fixture = try CheckpointFixture()
    try fixture.write(CheckpointFixture.llamaConfiguration)
    try fixture.write(weights, to: "model.safetensors")
    let error = openingError(fixture.path)
    if error != nil { try expectWithinLimits(fixture.path) }
    return error
  }

  private static let good = CheckpointFixture.safetensors(CheckpointFixture.llamaTensors())

  @Test func everyTruncationIsNoticed() throws {
    let fixture = try CheckpointFixture()
    try fixture.write(CheckpointFixture.llamaConfiguration)
    let headerEnd = 8 + Int(Self.good[0]) + Int(Self.good[1]) << 8
    let lengths =
      Array(0..<40) + Array(stride(from: 40, to: Self.good.count, by: 97))
      + [headerEnd - 1, headerEnd, headerEnd + 1, Self.good.count - 1]
    for length in lengths {
      try fixture.write(Array(Self.good[..<length]), to: "model.safetensors")
      #expect(openingError(fixture.path)?.category == .damaged, "\(length) bytes")
    }
    try fixture.write(Self.good + [0], to: "model.safetensors")
    #expect(openingError(fixture.path)?.category == .damaged)
    try fixture.write(Self.good, to: "model.safetensors")
    #expect(openingError(fixture.path) == nil)
  }

  @Test(
    arguments: [0, 1, 2, 7, 1 << 20, 16 << 20, 99_999_999, 100_000_001, 1 << 31, 1 << 62, .max]
      as [UInt64])
  func headerLengthsAreNotBelieved(length: UInt64) throws {
    var bytes = Self.good
    for index in 0..<8 { bytes[index] = UInt8(truncatingIfNeeded: length >> (8 * UInt64(index))) }
    #expect(try error(bytes)?.category == .damaged)
    bytes[7] |= 0x80
    #expect(try error(bytes)?.category == .damaged)
  }

  @Test func everyBrokenHeaderByteEndsWell() throws {
    // Whatever one byte of the header becomes: an error, or a header that still means something.
    let fixture = try CheckpointFixture()
    try fixture.write(CheckpointFixture.llamaConfiguration)
    let headerEnd = 8 + Int(Self.good[0]) + Int(Self.good[1]) << 8
    var errors = 0
    for index in stride(from: 8, to: headerEnd, by: 11) {
      for byte in [0, 0x22, 0x5C, 0x7B, 0x5D, 0xFF, 0x39, 0x2D] as [UInt8] {
        var bytes = Self.good
        bytes[index] = byte
        try fixture.write(bytes, to: "model.safetensors")
        if let error = openingError(fixture.path) {
          errors += 1
          #expect(!error.description.contains("\n"))
        }
      }
    }
    #expect(errors > 300)
  }

  private static func record(
    _ name: String, _ offsets: String, shape: String = "[2]", type: String = "F32"
  ) -> String {
    #""\#(name)":{"dtype":"\#(type)","shape":\#(shape),"data_offsets":\#(offsets)}"#
  }

  /// Records over 16 bytes of data, and what the error has to say: each is wrong in one way only.
  @Test(arguments: [
    // Overlap, gap, data that belongs to no one, an end beyond the end.
    ([record("a", "[0,16]", shape: "[4]"), record("b", "[8,16]")], "overlaps"),
    ([record("a", "[0,8]"), record("b", "[0,8]"), record("c", "[8,16]")], "overlaps"),
    ([record("a", "[0,4]", shape: "[1]"), record("b", "[8,16]")], "gap"),
    ([record("a", "[8,16]")], "gap"), ([record("a", "[0,8]")], "8 too many"), ([], "16 too many"),
    ([record("a", "[0,8]"), record("b", "[8,24]", shape: "[4]")], "8 bytes missing"),
    ([record("a", "[0,9223372036854775807]")], "bytes missing"),
    // Not in order, and still overlapping or with a gap; one inside another.
    ([record("b", "[8,16]"), record("a", "[0,12]", shape: "[3]")], "overlaps"),
    ([record("b", "[12,16]", shape: "[1]"), record("a", "[0,8]")], "gap"),
    ([record("a", "[0,16]", shape: "[4]"), record("b", "[4,8]", shape: "[1]")], "overlaps"),
    ([record("a", "[0,16]", shape: "[4]"), record("b", "[0,16]", shape: "[4]")], "overlaps"),
    // Offsets that are none.
    ([record("a", "[0,-9223372036854775808]")], ""),
    ([record("a", "[0,18446744073709551616]")], ""),
    ([record("a", "[9223372036854775807,9223372036854775807]", shape: "[0]")], ""),
    ([record("a", "[0,NaN]")], ""), ([record("a", "[0,0x10]")], ""), ([record("a", "[0,016]")], ""),
    ([record("a", "[8,0]")], "data_offsets"), ([record("a", "[-8,0]")], "data_offsets"),
    ([record("a", "[0]")], "data_offsets"), ([record("a", "[0,8,16]")], "data_offsets"),
    ([record("a", "[0,1e300]")], ""), ([record("a", "\"0\"")], ""), ([record("a", "null")], ""),
    ([record("a", "[0,9223372036854775808]")], ""), ([record("a", "[0.5,8]")], ""),
    // Shapes that do not take these bytes, or overflow.
    ([record("a", "[0,16]", shape: "[3]")], "takes 12 bytes"),
    ([record("a", "[0,16]", shape: "[0]")], "takes 0 bytes"),
    ([record("a", "[0,16]", shape: "[-4]")], "none negative"),
    ([record("a", "[0,16]", shape: "[4294967296,4294967296,4]")], "no memory"),
    ([record("a", "[0,16]", shape: "[9223372036854775807,2]")], "no memory"),
    ([record("a", "[0,16]", shape: "[4611686018427387905]")], "no memory"),
    ([record("a", "[0,16]", shape: "[2,2,1,1,1,1,1,1,1]")], "dimensions"),
    ([record("a", "[0,16]", shape: "[33]", type: "F4")], "whole bytes"),
    ([record("a", "[0,16]", shape: "4")], ""), ([record("a", "[0,16]", shape: "[[4]]")], ""),
    // The same name twice, also in another spelling; a key twice within a record.
    ([record("a", "[0,16]", shape: "[4]"), record("a", "[0,16]", shape: "[4]")], "twice"),
    ([record("a", "[0,16]", shape: "[4]"), record("\\u0061", "[8,16]")], "twice"),
    ([#""a":{"dtype":"F32","shape":[4],"shape":[4],"data_offsets":[0,16]}"#], "twice"),
    // Records that are none.
    ([#""a":7"#], ""), ([#""a":{}"#], "missing"), ([#""a":null"#], ""),
    ([#""a":{"dtype":7,"shape":[4],"data_offsets":[0,16]}"#], ""),
  ])
  func recordsAreNotBelieved(records: [String], problem: String) throws {
    let bytes = CheckpointFixture.safetensors(
      header: "{" + records.joined(separator: ",") + "}", data: [UInt8](repeating: 0, count: 16))
    let error = try #require(try error(bytes))
    #expect(error.category == .damaged)
    #expect(problem.isEmpty || error.description.contains(problem), "\(error)")
    #expect(!error.description.contains("\n"))
  }

  @Test(arguments: ["[", "{\"a\":", "[{\"a\":", "{\"\\u0061\":["])
  func depthIsLimited(unit: String) throws {
    let text = "{\"a\":" + String(repeating: unit, count: 1_000_000)
    let error = try #require(try error(CheckpointFixture.safetensors(header: text)))
    #expect(error.category == .damaged)
    #expect(error.description.contains("nesting"))
  }

  @Test(arguments: [
    "", " {}", "[]", "{", "}", "null", "{\"a", "{\"a\\", "{\"__metadata__\":", "\u{0}\u{0}", "{}x",
    "{\"\u{1b}[2J\\nx\":{}}", "{\"\\ud800\":{}}", "{\"\\udc00\\ud800\":{}}", "{\"a\":NaN}",
    "{\"a\":Infinity}", "{\"a\":1e999}", "{\"a\":-}", "{\"a\":01}", "{,}", "{\"a\":{},}",
    "\u{FEFF}{}",
  ])
  func headersThatAreNoObject(header: String) throws {
    let error = try #require(try error(CheckpointFixture.safetensors(header: header)))
    #expect(error.category == .damaged || error.category == .invalidWeights)
    #expect(!error.description.contains("\u{1b}") && !error.description.contains("\n"))
  }

  /// Text that is none: cut off, too long, surrogates, beyond Unicode, at the end and within.
  @Test(
    arguments: [
      [0xC3], [0xE2, 0x82], [0xF0, 0x9F, 0x98], [0xC0, 0x80], [0xE0, 0x80, 0x80],
      [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0x80], [0xFF, 0xFE], [0xF8, 0x88, 0x80, 0x80],
    ] as [[UInt8]])
  func headersThatAreNoText(bytes: [UInt8]) throws {
    for header in [
      Array("{\"".utf8) + bytes + Array("\":{}}".utf8), Array("{\"".utf8) + bytes, bytes,
    ] {
      let length = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) }
      #expect(try error(length + header)?.category == .damaged)
    }
  }

  @Test func manyNamesTakeLinearTime() throws {
    // 35,000 empty tensors: a quadratic path would take minutes.
    let records = (0..<35_000).map { Self.record("t\($0)", "[0,0]", shape: "[0]") }
    let error = try error(
      CheckpointFixture.safetensors(header: "{" + records.joined(separator: ",") + "}"))
    #expect(error?.category == .invalidWeights)
  }

  /// Headers and indexes of megabytes that would take a hundred when they are parsed.
  @Test func manyValues() throws {
    let many = String(repeating: "0,", count: 7_000_000) + "0"
    #expect(
      try error(
        CheckpointFixture.safetensors(
          header: "{" + Self.record("a", "[0,0]", shape: "[\(many)]") + "}")
      )?.category == .damaged)
    let records = (0..<200_000).map { Self.record("t\($0)", "[0,0]", shape: "[0]") }
    let header = "{" + records.joined(separator: ",") + "}"
    #expect(try error(CheckpointFixture.safetensors(header: header))?.category == .damaged)
    for name in ["model.safetensors.index.json", "pytorch_model.bin.index.json"] {
      let fixture = try CheckpointFixture()
      try fixture.write(CheckpointFixture.llamaConfiguration)
      for count in [140_000, 700_000] {
        let names = (0..<count).map { "\"t\($0)\":\"../f\($0)\"" }.joined(separator: ",")
        try fixture.write("{\"weight_map\":{\(names)}}", to: name)
        #expect(openingError(fixture.path) != nil)
        try expectWithinLimits(fixture.path)
      }
    }
    for name in ["generation_config.json", "tokenizer_config.json"] {
      let fixture = try CheckpointFixture()
      try fixture.writeLlama()
      try fixture.write("{\"eos_token_id\":[\(many)]}", to: name)
      #expect(openingError(fixture.path)?.category == .damaged)
      try expectWithinLimits(fixture.path)
    }
  }

  @Test func longNamesAreCutInMessages() throws {
    let name = String(repeating: "x", count: 1_000_000)
    let bytes = CheckpointFixture.safetensors(header: "{" + Self.record(name, "[0,9]") + "}")
    let description = try #require(try error(bytes)).description
    #expect(description.utf8.count < 1000)
  }
}
