import Foundation
import Synchronization

/// A folder for what all tests of a process share, removed when the process ends.
public final class ProcessFolder: Sendable {
  public let url: URL

  /// - Parameter name: tells the folders of a process apart.
  public init(_ name: String) {
    let parent = FileManager.default.temporaryDirectory
    url = parent.appending(
      path: "ember-\(name)-\(ProcessInfo.processInfo.processIdentifier)")
    try? FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    Self.removed.withLock { paths in
      if paths.isEmpty { atexit { ProcessFolder.removeAll() } }
      paths.append(url.path)
    }
  }

  private static func removeAll() {
    removed.withLock { paths in
      for path in paths { try? FileManager.default.removeItem(atPath: path) }
    }
  }

  private static let removed = Mutex<[String]>([])
}
