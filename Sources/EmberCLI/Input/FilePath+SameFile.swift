import Ember
import Foundation

extension FilePath {
  /// The same path, or another name of the same file.
  func namesSameFile(as other: FilePath) -> Bool {
    if resolved == other.resolved { return true }
    guard let first = identity, let second = other.identity, !first.contains(nil) else {
      return false
    }
    return first == second
  }

  private var resolved: String {
    URL(filePath: string).resolvingSymlinksInPath().standardizedFileURL.path
  }

  private var identity: [Int?]? {
    guard let values = try? FileManager.default.attributesOfItem(atPath: resolved) else {
      return nil
    }
    return [values[.systemNumber] as? Int, values[.systemFileNumber] as? Int]
  }
}
