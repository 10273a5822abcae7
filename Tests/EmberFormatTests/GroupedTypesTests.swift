import EmberFormat
import SystemPackage
import Testing

/// Files whose q4n, q5 and q6 tensors break a rule of `formats/model-file.md`, checksums right.
@Suite struct GroupedTypesTests {
  private let folder: TestFolder
  private var path: FilePath { folder.path("grouped") }

  init() throws { folder = try TestFolder() }

  /// Of 17 × 172 with 3 steps: the last tile has 44 columns, so its group 2 (columns 32 to 47) is
  /// padding in part and its group 3 as a whole; row group 1 has one row.
  private static let tileBytes = [BlockType.q4n: 576, .q5: 704, .q6: 832]
  private static let types = [BlockType.q4n, .q5, .q6]

  /// First byte of a tile.
  private static func tile(_ type: BlockType, _ group: Int, _ tile: Int) -> Int {
    let bytes = tileBytes[type] ?? 0
    return group * (64 + 3 * bytes + 3 * 64) + 64 + tile * bytes
  }

  /// What is found in the tensor where `changes` (offset, value) are written over it.
  private func flaw(_ type: BlockType, _ changes: [(Int, UInt8)]) throws -> String? {
    let tensor = try SampleTensor("t", type, 17, 172, outlierSteps: 3)
    var model = ModelBytes(bytes: try Sample.bytes([[tensor]]))
    for (offset, value) in changes {
      model.bytes[4096 + offset] = value
      #expect(tensor.bytes[offset] != value, "no change at \(offset)")
    }
    model.fixTensorChecksum(0)
    try Sample.store(model.bytes, at: path)
    let file = try ModelFile(opening: path)
    let error = try formatError { try file.verify() }
    if let error { #expect(error.description.contains("tensor 't'"), "\(error)") }
    return error?.description
  }

  private func expect(
    _ type: BlockType, _ changes: [(Int, UInt8)], _ expected: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let found = try flaw(type, changes) ?? "nothing"
    #expect(found.contains(expected), "\(type), \(changes)", sourceLocation: sourceLocation)
  }

  /// A bit of a code in a padded column of row 0, by its offset in the last tile.
  private struct PlaneBit {
    var type: BlockType
    var offset: Int
    var bit: Int
    var column: Int
  }

  /// All bits of column 44 of the last tile (block 1, half 0, j 3, i 0), then of column 60 (half 1).
  private static let planes: [PlaneBit] = {
    var bits: [PlaneBit] = []
    let low = 64 + 256 + 64 * 3
    for type in types {
      for bit in 0..<8 {
        bits.append(PlaneBit(type: type, offset: low, bit: bit, column: bit < 4 ? 172 : 188))
      }
    }
    for bit in 6..<8 {
      bits.append(PlaneBit(type: .q5, offset: 576 + 64, bit: bit, column: 172 + 16 * (bit - 6)))
    }
    for bit in 4..<8 {
      bits.append(
        PlaneBit(type: .q6, offset: 576 + 128 + 64, bit: bit, column: bit < 6 ? 172 : 188))
    }
    return bits
  }()

  @Test func codesInPaddedColumns() throws {
    for plane in Self.planes {
      let tensor = try SampleTensor("t", plane.type, 17, 172, outlierSteps: 3)
      for row in [0, 15] {
        let at = Self.tile(plane.type, 0, 2) + plane.offset + 4 * row
        try expect(
          plane.type, [(at, tensor.bytes[at] | 1 << UInt8(plane.bit))],
          "expected padding that is zero, found another value at row \(row), column "
            + "\(plane.column)")
      }
    }
  }

  @Test func codesInPaddedRows() throws {
    for type in Self.types {
      for tile in 0..<3 {
        let start = Self.tile(type, 1, tile)
        // Row 17 is lane 1; column 0 of the tile.
        let place = "at row 17, column \(64 * tile)"
        try expect(type, [(start + 64 + 4, 1)], place)
        if type != .q4n { try expect(type, [(start + 576 + 4, 1)], place) }
        if type == .q6 { try expect(type, [(start + 576 + 4, 2)], place) }
        // Column 31 of row 31: block 0, half 1, j 3, i 3.
        let other = "at row 31, column \(64 * tile + 31)"
        try expect(type, [(start + 64 + 64 * 3 + 4 * 15 + 3, 0x80)], other)
        if type == .q5 { try expect(type, [(start + 576 + 4 * 15 + 3, 0x80)], other) }
        if type == .q6 { try expect(type, [(start + 576 + 64 + 4 * 15 + 3, 0x80)], other) }
      }
    }
  }

  @Test func scalesOfPaddedGroups() throws {
    let expected = "expected scale 0 in groups that are padding, found"
    for type in Self.types {
      let last = Self.tile(type, 0, 2)
      try expect(type, [(last + 32 + 2 * 3 + 1, 0x81)], "\(expected) -127 at row 3, group 11")
      try expect(type, [(Self.tile(type, 1, 0) + 2, 5)], "\(expected) 5 at row 17, group 0")
      try expect(
        type, [(Self.tile(type, 1, 1) + 32 + 2 * 15 + 1, 1)], "\(expected) 1 at row 31, group 7")
      // Group 10 begins inside the tensor, and −128 is a scale that a reader takes.
      #expect(try flaw(type, [(last + 32 + 2 * 3, 0x80)]) == nil)
    }
  }

  @Test func rowScales() throws {
    for type in Self.types {
      let second = Self.tile(type, 1, 0) - 64
      let cases: [(Int, [UInt8], String)] = [
        (4 * 5, [1, 0, 0xC0, 0x7F], "expected a finite scale, found NaN of row 5"),
        (4 * 15, [0, 1, 0x80, 0xFF], "expected a finite scale, found NaN of row 15"),
        (second, [0, 0, 0x80, 0xFF], "expected a finite scale, found infinity of row 16"),
        (second + 4, [0, 0, 0x80, 0x3F], "scale 0 in rows that are padding, found 1.0 of row 17"),
        (second + 60, [0, 0, 0, 0x80], "scale 0 in rows that are padding, found -0.0 of row 31"),
        (second + 60, [0, 0, 0xC0, 0x7F], "expected a finite scale, found NaN of row 31"),
      ]
      let tensor = try SampleTensor("t", type, 17, 172, outlierSteps: 3)
      for (offset, bytes, expected) in cases {
        let changes = bytes.enumerated().map { (offset + $0, $1) }
        try expect(type, changes.filter { tensor.bytes[$0.0] != $0.1 }, expected)
      }
    }
  }

  @Test func outliers() throws {
    for type in Self.types {
      let steps = Self.tile(type, 0, 3)
      // Lanes 0, 3, 6, ... of step 0 are in use.
      try expect(type, [(steps + 1, 0xFF)], "expected outliers in columns below 172, found column")
      try expect(type, [(steps + 2, 7)], "outliers, found")
      try expect(type, [(steps + 32 + 3, 0x40)], "outliers, found")
      try expect(type, [(steps + 32 + 1, 0x7C)], "expected finite outliers")
      let second = Self.tile(type, 1, 3)
      try expect(type, [(second + 32 + 2 * 5 + 1, 0x40)], "0 in outlier lanes beyond row 16")
    }
  }

  @Test func unharmed() throws {
    for type in Self.types { #expect(try flaw(type, []) == nil) }
  }

  /// A reader that does not know a type says so by the tensor's name.
  @Test func unknownType() throws {
    var model = ModelBytes(bytes: try Sample.bytes([[try SampleTensor("t", .q6, 17, 172)]]))
    model.set(7, at: model.record(0) + 96, width: 4)
    model.fixChecksums()
    try Sample.store(model.bytes, at: path)
    let path = path
    let error = try formatError { _ = try ModelFile(opening: path) }
    guard case .unsupportedBlockType(_, let tensor, let found) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(tensor == "t" && found == 7)
    #expect(error?.description.contains("q4n") == true)
  }

  /// Of the same size as another type would be: the number decides, and the check finds out.
  @Test func anotherTypeOfTheSameSize() throws {
    // q4 has a step in the place of the row scales.
    var model = ModelBytes(bytes: try Sample.bytes([[try SampleTensor("t", .q4n, 16, 64)]]))
    model.set(3, at: model.record(0) + 96, width: 4)
    model.set(1, at: model.record(0) + 100, width: 4)
    model.fixChecksums()
    try Sample.store(model.bytes, at: path)
    let file = try ModelFile(opening: path)
    #expect(file.tensors[0].layout.rowGroupStride == 576 + 64)
    #expect(throws: FormatError.self) { try file.verify() }
  }
}
