import Foundation

/// Memory that can be had without taking it from anybody.
enum AvailableMemory {
  #if os(Linux)
    /// Bytes: the system's, or what the container leaves where that is less. The page cache counts
    /// as available, because the system gives it back.
    static var bytes: Int {
      let system = field("MemAvailable:", in: "/proc/meminfo").map { $0 * 1024 }
      return min(system ?? 1 << 30, container ?? .max)
    }

    /// The cgroup's limit less what is used and cannot be reclaimed; nil where there is no limit.
    private static var container: Int? {
      let folder = "/sys/fs/cgroup/"
      guard let limit = Int(contents(folder + "memory.max") ?? ""),
        let used = Int(contents(folder + "memory.current") ?? "")
      else { return nil }
      return max(0, limit - used + (field("file", in: folder + "memory.stat") ?? 0))
    }

    /// The number behind a name that begins a line.
    private static func field(_ name: String, in path: String) -> Int? {
      for line in (contents(path) ?? "").split(separator: "\n") {
        let words = line.split(separator: " ")
        if words.count >= 2, words[0] == name { return Int(words[1]) }
      }
      return nil
    }

    private static func contents(_ path: String) -> String? {
      (try? String(contentsOfFile: path, encoding: .utf8))?
        .trimmingCharacters(in: .whitespacesAndNewlines)
    }
  #else
    /// Bytes: half of the memory there is, since what is in use is not known exactly.
    static var bytes: Int { Int(clamping: ProcessInfo.processInfo.physicalMemory / 2) }
  #endif
}
