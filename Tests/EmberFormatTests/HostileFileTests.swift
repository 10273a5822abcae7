import EmberFormat
import EmberTestSupport
import Foundation
import SystemPackage
import Testing

/// Broken and hostile files: each is rejected with a FormatError or harmless; none crashes.
@Suite struct HostileFileTests {
  private let folder: TestFolder
  private var path: FilePath { folder.path("hostile") }

  init() throws { folder = try TestFolder() }

  /// Opens, verifies and touches every byte that the file claims to have.
  @discardableResult
  private func isRejected(_ bytes: [UInt8]) throws -> Bool {
    try Sample.store(bytes, at: path)
    let error = try formatError {
      let file = try ModelFile(opening: path)
      var sum = 0
      for tensor in file.tensors {
        sum &+= file.bytes(of: tensor).reduce(0) { $0 &+ Int($1) }
      }
      #expect(sum >= 0)
      try file.verify()
    }
    if let error { #expect(!error.description.contains("\n")) }
    return error != nil
  }

  private static func values(_ width: Int, _ original: UInt64, _ seed: Int) -> [UInt64] {
    let mask: UInt64 = width == 8 ? .max : 1 << UInt64(8 * width) - 1
    var generator = LinearCongruential(seed: UInt64(seed))
    let random = generator.next() << 33 ^ generator.next()
    return [
      0, 1, mask, mask >> 1, mask - 63, original &+ 1, original &- 1, original &+ 64,
      original &+ 4096, original &* 2, original | 1 << 40, random, random & 0xFFFF,
    ].map { $0 & mask }
  }

  @Test func everyHeaderField() throws {
    let model = ModelBytes(bytes: try Sample.bytes(try Sample.smallExtents()))
    #expect(try !isRejected(model.bytes))
    for (width, offsets) in [
      (4, stride(from: 0, to: 252, by: 4)), (8, stride(from: 0, to: 248, by: 8)),
    ] {
      for offset in offsets {
        let original = width == 4 ? UInt64(model.u32(offset)) : model.u64(offset)
        for value in Self.values(width, original, offset) where value != original {
          var mutated = model
          mutated.set(value, at: offset, width: width)
          #expect(try isRejected(mutated.bytes), "offset \(offset) = \(value), stale checksum")
          mutated.fixHeaderChecksum()
          #expect(try isRejected(mutated.bytes), "offset \(offset) = \(value)")
          mutated.fixChecksums()
          // A section that moved may be whole again where only its own checksum was changed.
          let isChecksum = offset >= 64 && offset < 192 && offset % 32 + width > 28
          #expect(
            try isRejected(mutated.bytes) || isChecksum,
            "offset \(offset) = \(value), all checksums right")
        }
      }
    }
  }

  @Test func everyDirectoryField() throws {
    let model = ModelBytes(bytes: try Sample.bytes(try Sample.extents()))
    let fields = [
      (0, 8), (88, 8), (96, 4), (100, 4), (104, 8), (112, 8), (120, 8), (128, 8), (136, 8),
      (144, 8), (152, 8), (160, 4), (164, 4), (168, 4), (172, 4), (176, 8), (184, 8),
    ]
    for record in 0..<11 {
      for (field, width) in fields {
        let offset = model.record(record) + field
        let original = width == 4 ? UInt64(model.u32(offset)) : model.u64(offset)
        for value in Self.values(width, original, offset) where value != original {
          var mutated = model
          mutated.set(value, at: offset, width: width)
          #expect(try isRejected(mutated.bytes), "record \(record) + \(field), stale checksum")
          mutated.fixChecksums()
          // Another name, shape of the same size, relative error or larger outlier count
          // contradicts nothing; everything else does.
          let mayPass = [0, 104, 112, 136, 160].contains(field)
          #expect(
            try isRejected(mutated.bytes) || mayPass, "record \(record) + \(field) = \(value)")
        }
      }
    }
  }

  @Test func everyExtentField() throws {
    let model = ModelBytes(bytes: try Sample.bytes(try Sample.extents()))
    for offset in stride(from: model.extent(0), to: model.extent(3), by: 8) {
      for value in Self.values(8, model.u64(offset), offset) where value != model.u64(offset) {
        var mutated = model
        mutated.set(value, at: offset)
        mutated.fixChecksums()
        #expect(try isRejected(mutated.bytes), "\(offset - model.extent(0)) = \(value)")
      }
    }
  }

  @Test func everyTruncation() throws {
    let bytes = try Sample.bytes(try Sample.smallExtents())
    for count in 0..<bytes.count {
      #expect(try isRejected(Array(bytes.prefix(count))), "cut to \(count)")
    }
  }

  /// A file that was cut and whose header was made to agree.
  @Test func everyTruncationThatTheHeaderAgreesWith() throws {
    let bytes = try Sample.bytes(try Sample.smallExtents())
    for count in 256..<bytes.count {
      var model = ModelBytes(bytes: Array(bytes.prefix(count)))
      model.set(UInt64(count), at: 16)
      model.fixChecksums()
      #expect(try isRejected(model.bytes), "cut to \(count)")
    }
  }

  /// Every byte of a small file, one bit at a time in turn: checksums and padding cover them all.
  @Test func everyFlippedByte() throws {
    let bytes = try Sample.bytes(try Sample.smallExtents())
    for index in bytes.indices {
      var mutated = bytes
      mutated[index] ^= 1 << UInt8(index % 8)
      #expect(try isRejected(mutated), "byte \(index)")
    }
  }

  /// Sections that are no zstd frame, not one, or not of the declared size.
  @Test func everyByteOfTheCompressedSections() throws {
    let model = ModelBytes(bytes: try Sample.bytes(try Sample.smallExtents()))
    for section in [ModelBytes.Section.metadata, .tokenizer] {
      for index in 0..<model.size(of: section) {
        for value: UInt8 in [0, 0xFF, 0x55] {
          var mutated = model
          mutated.bytes[model.offset(of: section) + index] = value
          mutated.fixChecksums()
          try isRejected(mutated.bytes)  // or harmless: another literal is another text
        }
      }
    }
  }

  @Test func verifyNamesTheDamagedTensor() throws {
    let model = ModelBytes(bytes: try Sample.bytes(try Sample.extents()))
    for record in 0..<11 {
      var mutated = model
      mutated.bytes[Int(model.u64(model.record(record) + 120)) + 3] ^= 0x10
      try Sample.store(mutated.bytes, at: path)
      let file = try ModelFile(opening: path)
      let error = try #require(try formatError { try file.verify() })
      let name = file.tensors[record].name
      #expect(error.description.contains("tensor '\(name)': checksum"), "\(error)")
      #expect(throws: FormatError.self) {
        try ModelFile(opening: path, verifyingChecksums: true)
      }
    }
  }

  /// Checksums agree, but the content breaks the rules of the block types.
  @Test(
    arguments: [
      // record 0: q8 33 × 65. Row 15, column 64 + 1 is padding (tile 1, j 0, i 1).
      (0, 1088 + 64 + 4 * 15 + 1, 127, "padding"),
      // The only row of row group 2 is row 32; row 33, column 0 is padding.
      (0, 2 * 2 * 1088 + 64 + 4, 0, "padding"),
      // record 1: f16 17 × 172, row 0, column 172 = 128 + 44.
      (1, 2 * 2048 + 32 * 44 + 1, 0x7E, "padding"),
      // record 2: q4 17 × 172 with 3 steps; row 0, column 172 = 128 + 32 + 12 (low nibble, j 3).
      (2, 2 * 576 + 64 + 256 + 64 * 3, 0x80, "padding"),
      // An outlier column above the last, high byte of lane 0.
      (2, 3 * 576 + 1, 0xFF, "columns below 172"),
      // Lane 1 of step 0 is unused: a column without a value is one outlier too many.
      (2, 3 * 576 + 2, 7, "outliers"),
      // A value in an unused lane: one outlier too many.
      (2, 3 * 576 + 32 + 3, 0x40, "outliers"),
      // Infinity.
      (2, 3 * 576 + 32 + 1, 0x7C, "finite"),
      // Row group 1 has one row; lane 5 is beyond it.
      (2, 3 * 576 + 192 + 3 * 576 + 32 + 2 * 5 + 1, 0x40, "outlier lanes beyond row 16"),
      // record 0: row 1, block 3 is padding (columns 96 to 127), as is row 33 of row group 2.
      (0, 1088 + 32 + 2 * 1, 1, "scale 0 in blocks that are padding"),
      (0, 2 * 2 * 1088 + 2 * 1 + 1, 0x80, "scale 0 in blocks that are padding"),
    ] as [(Int, Int, UInt8, String)])
  func contentThatBreaksTheRules(
    _ record: Int, _ offset: Int, _ value: UInt8, _ expected: String
  ) throws {
    var model = ModelBytes(bytes: try Sample.bytes(try Sample.extents()))
    model.bytes[Int(model.u64(model.record(record) + 120)) + offset] = value
    if expected == "finite" {
      model.bytes[Int(model.u64(model.record(record) + 120)) + offset - 1] = 0
    }
    model.fixTensorChecksum(record)
    try Sample.store(model.bytes, at: path)
    let file = try ModelFile(opening: path)
    let error = try #require(try formatError { try file.verify() })
    #expect(error.description.contains(expected), "\(error)")
    #expect(error.description.contains("tensor '\(file.tensors[record].name)'"), "\(error)")
  }

  /// Infinity and NaN in every kind of number, the checksum right.
  @Test(
    arguments: [
      // record 0: q8 33 × 65: row 21, block 1; record 2: q4 17 × 172: row 16, block 5.
      (0, 2 * 1088 + 32 + 2 * 5, [0x00, 0x7C], "a finite scale", "infinity at row 21, block 1"),
      (2, 3 * 576 + 192 + 2 * 576 + 32, [0x01, 0xFC], "a finite scale", "NaN at row 16, block 5"),
      // record 1: f16 17 × 172: row 3, column 130.
      (1, 2 * 2048 + 32 * 2 + 2 * 3, [0, 0xFC], "finite weights", "infinity at row 3, column 130"),
      (1, 2 * 2048 + 32 * 2 + 2 * 3, [1, 0x7C], "finite weights", "NaN at row 3, column 130"),
      // record 6: f32 3 × 5.
      (6, 4 * 13, [0, 0, 0x80, 0xFF], "finite values", "infinity at row 2, column 3"),
      (6, 4 * 14, [0, 0, 0xC0, 0x7F], "finite values", "NaN at row 2, column 4"),
    ] as [(Int, Int, [UInt8], String, String)])
  func numbersThatAreNotFinite(
    _ record: Int, _ offset: Int, _ value: [UInt8], _ expected: String, _ found: String
  ) throws {
    var model = ModelBytes(bytes: try Sample.bytes(try Sample.extents()))
    let start = Int(model.u64(model.record(record) + 120)) + offset
    model.bytes.replaceSubrange(start..<(start + value.count), with: value)
    model.fixTensorChecksum(record)
    try Sample.store(model.bytes, at: path)
    let file = try ModelFile(opening: path)
    let error = try #require(try formatError { try file.verify() })
    #expect(error.description.contains("expected \(expected), found \(found)"), "\(error)")
    #expect(error.description.contains("tensor '\(file.tensors[record].name)'"), "\(error)")
  }

  /// What a converter makes of an outlier too small for a half: a lane in use that adds nothing.
  @Test func outlierThatRoundedToZero() throws {
    for zero: UInt8 in [0x00, 0x80] {
      var model = ModelBytes(bytes: try Sample.bytes(try Sample.extents()))
      let lane = Int(model.u64(model.record(2) + 120)) + 3 * 576
      model.bytes[lane] = 7  // a column inside the tensor, then the value
      model.bytes[lane + 32] = 0
      model.bytes[lane + 33] = zero
      model.fixTensorChecksum(2)
      #expect(try !isRejected(model.bytes))
    }
  }

  /// A frame of one raw block whose header asks for 8 MiB of window, and for the next size.
  @Test(arguments: [(13 << 3, false), (13 << 3 | 1, true)] as [(UInt8, Bool)])
  func window(descriptor: UInt8, rejected: Bool) throws {
    var model = ModelBytes(bytes: try Sample.bytes(try Sample.smallExtents()))
    let start = model.offset(of: .tokenizer)
    // Magic, a content size of 4 bytes, the window, 3 bytes of content; last raw block of 3 bytes.
    let frame: [UInt8] = [
      0x28, 0xB5, 0x2F, 0xFD, 0x80, descriptor, 3, 0, 0, 0, 3 << 3 | 1, 0, 0, 7, 8, 9,
    ]
    model.bytes.replaceSubrange(start..., with: frame)
    model.set(UInt64(model.bytes.count), at: 16)
    model.set(UInt64(frame.count), at: ModelBytes.Section.tokenizer.rawValue + 8)
    model.set(3, at: ModelBytes.Section.tokenizer.rawValue + 16)
    model.fixChecksums()
    #expect(try isRejected(model.bytes) == rejected)
    if rejected {
      let error = try formatError { _ = try ModelFile(opening: path) }
      #expect(error?.description.contains("window") == true)
    }
  }

  /// A sparse terabyte whose header claims large tables.
  @Test func sparseFile() throws {
    var model = ModelBytes(bytes: try Sample.bytes(try Sample.smallExtents()))
    let size: UInt64 = 1 << 38
    model.set(size, at: 16)
    model.set(size - 4096, at: ModelBytes.Section.tokenizer.rawValue + 8)
    model.fixHeaderChecksum()
    try Sample.store(Array(model.bytes.prefix(4096)), at: path)
    guard truncate(path.string, off_t(size)) == 0 else { return }
    #expect(throws: FormatError.self) { try ModelFile(opening: path) }
  }

  /// The corpus only ever grows: files that once did harm, or that show a rule.
  @Test func attacks() throws {
    let attacks = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "attacks")
    let names = try FileManager.default.contentsOfDirectory(atPath: attacks.path)
      .filter { $0.hasSuffix(".ember") }
    #expect(names.count >= 34)
    for name in names {
      #expect(throws: FormatError.self, "\(name)") {
        try ModelFile(
          opening: FilePath(attacks.appending(path: name).path), verifyingChecksums: true)
      }
    }
  }
}
