import EmberTestSupport
import Foundation
import Testing

/// The table of `docs/architectures.md` and of the README is what these tests find.
///
///     EMBER_UPDATE_TABLE=1 swift test -c release --filter ArchitectureTable
@Suite("The table of architectures", .serialized)
struct ArchitectureTableTests {
  private static let (begin, end) = ("<!-- table: begin -->\n", "<!-- table: end -->\n")

  private static func table() throws -> String {
    var lines = [
      "| model | `architectures` | converts | logits match | decode matches | q8 | q4 | streams |",
      "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for checkpoint in ArchitectureCheckpoint.all {
      let found = try ArchitectureFindings.of(checkpoint)
      let name = try ArchitectureModel.converted(checkpoint, bits: 16).model.architecture.name
      lines.append(
        row(
          checkpoint.title, name,
          [
            found.converts, found.logitsMatch, found.decodeMatches, found.q8, found.q4,
            found.streams,
          ]))
    }
    for name in EncoderDecoderFixture.names {
      let fixture = try EncoderDecoderFixture(name)
      let found = try EncoderDecoderFindings.of(name)
      lines.append(
        row(
          fixture.title, try fixture.converted().model.architecture.name,
          [
            found.converts, found.logitsMatch, found.decodeMatches, found.q8, found.q4,
            found.streams,
          ]))
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func row(_ title: String, _ architecture: String, _ findings: [Bool]) -> String {
    let cells = [title, "`\(architecture)`"] + findings.map { $0 ? "yes" : "no" }
    return "| \(cells.joined(separator: " | ")) |"
  }

  @Test("what the pages say was found", arguments: ["docs/architectures.md", "README.md"])
  func committed(_ page: String) throws {
    let path = TestData.bundled(page)
    let page = try String(contentsOfFile: path, encoding: .utf8)
    let first = try #require(page.range(of: Self.begin))
    let last = try #require(page.range(of: Self.end))
    let table = try Self.table()
    if ProcessInfo.processInfo.environment["EMBER_UPDATE_TABLE"] == "1" {
      let updated = page[..<first.upperBound] + table + page[last.lowerBound...]
      try String(updated).write(toFile: path, atomically: true, encoding: .utf8)
    } else {
      #expect(String(page[first.upperBound..<last.lowerBound]) == table)
    }
  }

  @Test("every fixture has a row")
  func complete() throws {
    let folders = try FileManager.default.contentsOfDirectory(
      at: ArchitectureCheckpoint.root, includingPropertiesForKeys: [.isDirectoryKey]
    ).filter { $0.hasDirectoryPath }.map(\.lastPathComponent)
    #expect(Set(folders) == Set(ArchitectureCheckpoint.all.map(\.name)))
    #expect(ArchitectureCheckpoint.all.count == folders.count)
  }
}
