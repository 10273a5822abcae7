import EmberTestSupport
import Foundation
import Testing

/// A text that must equal a committed file, character by character.
///
/// `EMBER_UPDATE_SNAPSHOTS=1 swift test` writes the files anew; look at the difference before
/// committing it.
enum Snapshot {
  static func expect(
    _ text: String, equals name: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let url = URL(filePath: TestData.bundled("Tests/EmberCLITests/snapshots/\(name).txt"))
    if ProcessInfo.processInfo.environment["EMBER_UPDATE_SNAPSHOTS"] == "1" {
      try Data(text.utf8).write(to: url)
      return
    }
    let expected = try String(contentsOf: url, encoding: .utf8)
    #expect(text == expected, "differs from \(name).txt", sourceLocation: sourceLocation)
  }
}
