import EmberModel
import EmberQuantizer
import Foundation
import SystemPackage
import Testing

/// Versions 1 and 2 of llama2.c: the same tensors in another order, and in version 2 at 8 bits.
@Suite struct Llama2CVersionTests {
  private static let header: [Int32] = [16, 24, 2, 4, 2, 20, 32]
  /// Where the format puts them: rows, columns, one after the other for both layers.
  private static let order: [(String, Int, Int)] = [
    ("attention_norm", 1, 16), ("feed_forward_norm", 1, 16), ("final_norm", 1, 16),
    ("embedding", 20, 16), ("attention.query", 16, 16), ("attention.key", 8, 16),
    ("attention.value", 8, 16), ("attention.output", 16, 16), ("feed_forward.gate", 24, 16),
    ("feed_forward.down", 16, 24), ("feed_forward.up", 24, 16), ("head", 20, 16),
  ]

  private static func names(tied: Bool) -> [(String, Int, Int)] {
    order.flatMap { name, rows, columns -> [(String, Int, Int)] in
      switch name {
      case "final_norm": [("final_norm.weight", rows, columns)]
      case "embedding": [(name, rows, columns)]
      case "head": tied ? [] : [(name, rows, columns)]
      default: (0..<2).map { ("layers.\($0).\(name).weight", rows, columns) }
      }
    }
  }

  private static func start(version: Int32, tied: Bool, group: Int32?) -> [UInt8] {
    let words = CheckpointFixture.int32([0x616B_3432, version] + header)
    let bytes = words + [tied ? 1 : 0] + (group.map { CheckpointFixture.int32([$0]) } ?? [])
    return bytes + [UInt8](repeating: 0, count: 256 - bytes.count)
  }

  @Test(arguments: [true, false])
  func version1(tied: Bool) throws {
    let fixture = try CheckpointFixture()
    var bytes = Self.start(version: 1, tied: tied, group: nil)
    for (name, rows, columns) in Self.names(tied: tied) {
      bytes += CheckpointFixture.float32(CheckpointFixture.values(rows * columns, seed: name))
    }
    try fixture.write(bytes, to: "model.bin")
    let checkpoint = try CheckpointReader.open(fixture.path("model.bin"))
    #expect(checkpoint.architecture.tiedHead == tied)
    #expect(checkpoint.provenance.format == "llama2.c version 1")
    #expect(checkpoint.tensors.count == Self.names(tied: tied).count)
    #expect(checkpoint.warnings == [])
    for (name, rows, columns) in Self.names(tied: tied) {
      #expect(
        try checkpoint.tensor(name).values()
          == CheckpointFixture.values(rows * columns, seed: name), "\(name)")
    }
  }

  @Test(arguments: [(true, 16), (false, 8), (false, 1)] as [(Bool, Int)])
  func version2(tied: Bool, group: Int) throws {
    let fixture = try CheckpointFixture()
    var bytes = Self.start(version: 2, tied: tied, group: Int32(group))
    var expected: [String: [Float]] = [:]
    for (name, rows, columns) in Self.names(tied: tied) {
      let values = CheckpointFixture.values(rows * columns, seed: name)
      guard !name.contains("norm") else {
        bytes += CheckpointFixture.float32(values)
        expected[name] = values
        continue
      }
      // Multiples of 1/64 from −255/64 to 255/64: halves of them fit in int8.
      let levels = values.map { Int8(($0 * 32).rounded(.towardZero)) }
      let scales = (0..<levels.count / group).map { Float($0 % 7 + 1) / 128 }
      bytes += levels.map { UInt8(bitPattern: $0) } + CheckpointFixture.float32(scales)
      expected[name] = levels.indices.map { Float(levels[$0]) * scales[$0 / group] }
    }
    try fixture.write(bytes, to: "model.bin")
    let checkpoint = try CheckpointReader.open(fixture.path("model.bin"))
    #expect(checkpoint.provenance.format == "llama2.c version 2")
    #expect(checkpoint.provenance.storedTypes == ["F32", "I8"])
    #expect(checkpoint.warnings.count == 1)
    for tensor in checkpoint.tensors {
      let values = try #require(expected[tensor.name])
      #expect(try tensor.values() == values, "\(tensor.name)")
      if tensor.rows > 7 {
        #expect(
          try tensor.values(rows: 3..<7)
            == Array(values[(3 * tensor.columns)..<(7 * tensor.columns)]), "\(tensor.name)")
      }
    }
  }

  @Test(arguments: [0, -1, 3, 32, .min, .max] as [Int32])
  func groupsHaveToDivideTheWidth(group: Int32) throws {
    let fixture = try CheckpointFixture()
    try fixture.write(
      Self.start(version: 2, tied: true, group: group) + [UInt8](repeating: 0, count: 9999),
      to: "model.bin")
    guard case .implausibleHeader(_, "group_size", _, _)? = openingError(fixture.path("model.bin"))
    else {
      Issue.record("expected .implausibleHeader")
      return
    }
  }

  @Test func sizesAreChecked() throws {
    let fixture = try CheckpointFixture()
    for (version, length) in [(1, 40), (1, 256), (2, 255), (2, 5000)] {
      let bytes =
        Self.start(version: Int32(version), tied: true, group: 16)
        + [UInt8](repeating: 0, count: 9999)
      try fixture.write(Array(bytes.prefix(length)), to: "model.bin")
      #expect(openingError(fixture.path("model.bin"))?.category == .damaged)
    }
  }
}
