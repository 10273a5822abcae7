import EmberModel
import EmberQuantizer
import EmberTestSupport
import Foundation
import SystemPackage
import Testing

/// Statistics files: what is written is read, and nothing else is.
struct CalibrationFileTests {
  private static let second = "feedbaafacecaabbeefcadabdabdeac"

  private static func save(
    _ checkpoint: CalibrationCheckpoint, _ name: String, _ text: String,
    detail: SecondMoments.Detail = .full
  ) throws -> FilePath {
    let path = checkpoint.file(name)
    try Calibrator(
      checkpoint: checkpoint.path, options: CalibrationOptions(detail: detail)
    ).run(text: text, saving: path)
    return path
  }

  @Test(arguments: SecondMoments.Detail.allCases)
  func roundTrip(detail: SecondMoments.Detail) throws {
    let checkpoint = try CalibrationCheckpoint()
    let path = try Self.save(checkpoint, "a.stats", CalibrationRunTests.text, detail: detail)
    let file = try StatisticsFile(opening: path)
    let collected = try CalibrationRunTests.collect(
      checkpoint, CalibrationRunTests.text, CalibrationOptions(detail: detail))
    let architecture = try CheckpointReader.open(checkpoint.path).architecture
    #expect(file.detail == detail)
    #expect(file.model == ModelFingerprint(architecture))
    #expect(file.sites == CalibrationSite.all(in: architecture))
    #expect(file.texts.count == 1 && file.texts[0].tokenCount == 32)
    #expect(file.texts[0].windowLength == 16)
    for site in file.sites { #expect(try file.moments(at: site) == collected[site]) }
    #expect(try file.moments(at: CalibrationSite(.up, layer: 2)) == nil)
    try file.verify()
    // The same again gives the same bytes.
    let again = try Self.save(checkpoint, "b.stats", CalibrationRunTests.text, detail: detail)
    #expect(try Self.bytes(path) == Self.bytes(again))
    #expect(try file.byteCount == Self.bytes(path).count)
  }

  /// The second text begins where a window does, so that both together are cut alike.
  @Test func mergingIsCollectingBoth() throws {
    let checkpoint = try CalibrationCheckpoint()
    let a = try Self.save(checkpoint, "a.stats", CalibrationRunTests.text)
    let b = try Self.save(checkpoint, "b.stats", Self.second)
    let both = try Self.save(
      checkpoint, "both.stats", CalibrationRunTests.text + " " + Self.second)
    let merged = checkpoint.file("merged.stats")
    try StatisticsFile.merge([a, b], into: merged)
    let (file, expected) = (
      try StatisticsFile(opening: merged), try StatisticsFile(opening: both)
    )
    #expect(file.sites == expected.sites && file.texts.map(\.tokenCount) == [32, 32])
    #expect(file.texts[0].sha256 != file.texts[1].sha256)
    for site in file.sites {
      let found = try #require(try file.moments(at: site))
      let wanted = try #require(try expected.moments(at: site))
      #expect(found.tokenCount == 64 && wanted.tokenCount == 64)
      #expect(found.maxima == wanted.maxima)
      for row in 0..<found.columns {
        #expect(abs(found.squares[row] - wanted.squares[row]) <= 1e-9 * wanted.squares[row])
        for column in row..<found.columns {
          let scale = (wanted.squares[row] * wanted.squares[column]).squareRoot()
          let difference = found.product(row, column) - wanted.product(row, column)
          #expect(abs(Double(difference)) <= 1e-6 * scale)
        }
      }
    }
    // The output may be one of the inputs, and nothing else is left.
    try StatisticsFile.merge([a, b], into: a)
    #expect(try Self.bytes(a) == Self.bytes(merged))
    #expect(
      checkpoint.others == ["a.stats", "b.stats", "both.stats", "merged.stats"])
  }

  @Test func mergingRefusesWhatDiffers() throws {
    let checkpoint = try CalibrationCheckpoint()
    let full = try Self.save(checkpoint, "full.stats", "abc")
    let diagonal = try Self.save(checkpoint, "diagonal.stats", "abc", detail: .diagonal)
    let merged = checkpoint.file("merged.stats")
    #expect(throws: CalibrationError.differentDetail(expected: .full, found: .diagonal)) {
      try StatisticsFile.merge([full, diagonal], into: merged)
    }
    var architecture = try CheckpointReader.open(checkpoint.path).architecture
    architecture.feedForwardWidth += 1
    let other = checkpoint.file("other.stats")
    let writer = try StatisticsFileWriter(
      creating: other, model: ModelFingerprint(architecture), detail: .full)
    try writer.finish(texts: [])
    #expect(
      throws: CalibrationError.differentModels(
        field: "feed-forward width", expected: "40", found: "41")
    ) {
      try StatisticsFile.merge([full, other], into: merged)
    }
    #expect(throws: CalibrationError.cancelled) {
      try StatisticsFile.merge([full, full], into: merged, isCancelled: { true })
    }
    #expect(throws: CalibrationError.self) { try StatisticsFile.merge([], into: merged) }
    #expect(!checkpoint.others.contains { $0.contains("merged") })
  }

  @Test func aWriterThatIsNotFinishedLeavesNothing() throws {
    let checkpoint = try CalibrationCheckpoint()
    let architecture = try CheckpointReader.open(checkpoint.path).architecture
    let moments = try #require(
      try CalibrationRunTests.collect(checkpoint)[CalibrationSite(.up, layer: 1)])
    do {
      var writer = try StatisticsFileWriter(
        creating: checkpoint.file("a.stats"), model: ModelFingerprint(architecture), detail: .full)
      try writer.add(moments, at: CalibrationSite(.up, layer: 1))
      #expect(Self.refusal { try writer.add(moments, at: CalibrationSite(.up, layer: 1)) })
      #expect(Self.refusal { try writer.add(moments, at: CalibrationSite(.down, layer: 1)) })
      #expect(Self.refusal { try writer.add(moments, at: CalibrationSite(.up, layer: 2)) })
    }
    #expect(checkpoint.others == [])
  }

  private static func refusal(_ body: () throws -> Void) -> Bool {
    do {
      try body()
      return false
    } catch CalibrationError.invalidContent {
      return true
    } catch {
      return false
    }
  }

  @Test(arguments: SecondMoments.Detail.allCases)
  func truncationIsAnError(detail: SecondMoments.Detail) throws {
    let checkpoint = try CalibrationCheckpoint()
    let path = try Self.save(checkpoint, "a.stats", "abc", detail: detail)
    let bytes = try Self.bytes(path)
    let broken = checkpoint.file("broken.stats")
    for count in Array(stride(from: 0, to: bytes.count, by: bytes.count / 50)) + [
      127, 128, bytes.count - 1,
    ] {
      try Self.write(Array(bytes[..<count]), broken)
      #expect(throws: CalibrationError.self) { try StatisticsFile(opening: broken) }
    }
    try Self.write(bytes + [0], broken)
    #expect(throws: CalibrationError.self) { try StatisticsFile(opening: broken) }
  }

  /// Every byte but padding is covered by a checksum or checked for itself.
  @Test(arguments: SecondMoments.Detail.allCases)
  func corruptionIsAnError(detail: SecondMoments.Detail) throws {
    let checkpoint = try CalibrationCheckpoint()
    let path = try Self.save(checkpoint, "a.stats", "abc", detail: detail)
    var bytes = try Self.bytes(path)
    let broken = checkpoint.file("broken.stats")
    let layout = FileSections(bytes)
    for section in layout.ranges {
      let step = section.count <= 128 ? 1 : section.count / 8
      for at in stride(from: section.lowerBound, to: section.upperBound, by: step) {
        bytes[at] ^= 0x10
        try Self.write(bytes, broken)
        let error = #expect(throws: CalibrationError.self, "byte \(at)") {
          try StatisticsFile(opening: broken).verify()
        }
        #expect(error?.description.contains("\n") == false)
        bytes[at] ^= 0x10
      }
    }
  }

  /// Checksums do not protect from whoever makes them: claims that contradict the file are refused.
  @Test func hostileClaims() throws {
    let checkpoint = try CalibrationCheckpoint()
    let path = try Self.save(checkpoint, "a.stats", "abc")
    let bytes = try Self.bytes(path)
    let broken = checkpoint.file("broken.stats")
    func refuses(_ change: (inout [UInt8], FileSections) -> Void) throws -> Bool {
      var changed = bytes
      change(&changed, FileSections(bytes))
      FileSections.seal(&changed)
      try Self.write(changed, broken)
      do {
        try StatisticsFile(opening: broken).verify()
        return false
      } catch {
        return true
      }
    }
    #expect(try !refuses { _, _ in })
    // The header's offsets and counts, each at its largest and a little off.
    for at in [16, 24, 32, 48] {
      for value: UInt64 in [0, 1, 127, 1 << 40, 1 << 63, .max] {
        #expect(try refuses { bytes, _ in Self.store(value, at, 8, &bytes) })
      }
    }
    for value: UInt64 in [0, 8, 10, 1 << 31, 0xFFFF_FFFF] {
      #expect(try refuses { bytes, _ in Self.store(value, 44, 4, &bytes) })
    }
    #expect(try refuses { bytes, _ in Self.store(2, 60, 4, &bytes) })
    #expect(try refuses { bytes, _ in Self.store(0, 60, 4, &bytes) })
    #expect(try refuses { bytes, _ in Self.store(1, 64, 4, &bytes) })
    // The description's counts and widths.
    for at in [0, 4, 8, 12, 44, 48] {
      for value: UInt64 in [0x7FFF_FFFF, 0xFFFF_FFFF] {
        #expect(
          try refuses { bytes, layout in
            Self.store(value, layout.description.lowerBound + at, 4, &bytes)
          })
      }
    }
    for at in [16, 24, 32] {
      for value: UInt64 in [0, 1 << 25, .max] {
        #expect(
          try refuses { bytes, layout in
            Self.store(value, layout.description.lowerBound + at, 8, &bytes)
          })
      }
    }
    // A directory entry: kind, layer, columns, tokens, place, size.
    for (at, size) in [(0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8)] {
      for value: UInt64 in [5, 0xFFFF_FFFF, size == 4 ? 77 : .max] {
        // Five tokens are as good as any number.
        if at == 16 && value < 1 << 48 { continue }
        #expect(
          try refuses { bytes, layout in
            Self.store(value, layout.directory.lowerBound + at, size, &bytes)
          })
      }
    }
    // The same site twice.
    #expect(
      try refuses { bytes, layout in
        let start = layout.directory.lowerBound
        bytes.replaceSubrange(start + 48 * 2..<start + 48 * 2 + 8, with: bytes[start..<start + 8])
      })
    // Sums that none can be.
    for value: Float in [-1, .infinity, .nan] {
      #expect(
        try refuses { bytes, layout in
          let maxima = layout.sites[0].lowerBound + 8 * CalibrationCheckpoint.width
          Self.store(UInt64(value.bitPattern), maxima, 4, &bytes)
        })
    }
  }

  @Test func otherFiles() throws {
    let checkpoint = try CalibrationCheckpoint()
    #expect(throws: CalibrationError.notStatistics(checkpoint.path)) {
      try StatisticsFile(opening: checkpoint.path)
    }
    #expect(throws: CalibrationError.file(.notFound(checkpoint.file("none")))) {
      try StatisticsFile(opening: checkpoint.file("none"))
    }
    #expect(throws: CalibrationError.self) {
      try StatisticsFile(opening: FilePath(checkpoint.folder.path))
    }
    let path = try Self.save(checkpoint, "a.stats", "abc")
    var bytes = try Self.bytes(path)
    bytes[8] = 2
    try Self.write(bytes, path)
    #expect(throws: CalibrationError.unsupportedVersion(path, found: 2)) {
      try StatisticsFile(opening: path)
    }
  }

  private static func bytes(_ path: FilePath) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(filePath: path.string)))
  }

  private static func write(_ bytes: [UInt8], _ path: FilePath) throws {
    try Data(bytes).write(to: URL(filePath: path.string))
  }

  private static func store(_ value: UInt64, _ at: Int, _ size: Int, _ bytes: inout [UInt8]) {
    for i in 0..<size { bytes[at + i] = UInt8(truncatingIfNeeded: value >> UInt64(8 * i)) }
  }
}
