#if os(Linux)
  import Foundation

  /// A control group of its own with a limit on memory, of either version of the interface.
  struct MemoryGroup {
    private let folder: String

    private static let parents = [
      // Version 1, then the places of version 2.
      ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
      ("/sys/fs/cgroup", "memory.max"),
    ]

    static var canBeMade: Bool {
      guard let group = try? MemoryGroup(bytes: 64 << 20) else { return false }
      group.remove()
      return true
    }

    /// - Throws: where this process may not make one.
    init(bytes: Int) throws {
      struct NoGroup: Error {}
      for (parent, limit) in Self.parents {
        let folder = "\(parent)/ember-test-\(UUID().uuidString)"
        guard
          (try? FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: false)) != nil
        else { continue }
        if FileManager.default.fileExists(atPath: "\(folder)/\(limit)"),
          (try? Data("\(bytes)".utf8).write(to: URL(filePath: "\(folder)/\(limit)"))) != nil
        {
          self.folder = folder
          return
        }
        rmdir(folder)
      }
      throw NoGroup()
    }

    /// Runs a program inside.
    var wrapper: [String] {
      ["/bin/sh", "-c", "echo $$ > \(folder)/cgroup.procs && exec \"$@\"", "sh"]
    }

    func remove() { rmdir(folder) }
  }
#endif
