import Foundation

/// Where tests find their data.
///
/// `bundled` is what the repository itself ships and is always there. `shared` is the folder of
/// larger reference data that stands beside the checkout on the project's own machines, or where
/// `EMBER_SHARED_DATA` points; tests that need it are skipped, with this reason, elsewhere.
public enum TestData {
  /// The root of the checkout.
  public static let repository: URL = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// The folder of reference data, or nil where this machine has none.
  public static let shared: URL? = {
    let folder =
      ProcessInfo.processInfo.environment["EMBER_SHARED_DATA"].map { URL(filePath: $0) }
      ?? repository.deletingLastPathComponent().appending(path: "shared/data")
    let marker = folder.appending(path: "README.md").path
    return FileManager.default.fileExists(atPath: marker) ? folder : nil
  }()

  /// Whether the reference data is here: the condition of every test that needs it.
  public static var hasShared: Bool { shared != nil }

  /// The path of a file of the reference data; call it only where `hasShared`.
  public static func shared(_ path: String) -> String {
    (shared ?? repository).appending(path: path).path
  }

  /// The path of a file of the repository.
  public static func bundled(_ path: String) -> String {
    repository.appending(path: path).path
  }

  /// A new empty folder for one test; the caller removes it.
  public static func temporaryFolder() throws -> URL {
    let folder = FileManager.default.temporaryDirectory
      .appending(path: "ember-test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder
  }
}
