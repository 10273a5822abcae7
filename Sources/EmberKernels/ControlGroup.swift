#if os(Linux)
  import Foundation

  /// The limits that control groups set for this process: a container's, a service's, a user's.
  ///
  /// ```swift
  /// let processors = ControlGroup.current.processorQuota  // 1.5
  /// ```
  ///
  /// Groups are nested and each limit holds for everything below it, so the least one up the tree
  /// counts. Both versions of the interface are read, also where a machine mounts both, one
  /// controller in the one and one in the other (Linux, Documentation/admin-guide/cgroup-v2.rst and
  /// cgroup-v1/). Where a container shows only its own part of the tree, the folders that its path
  /// names are not there; the part that is there is its own, and its root is always looked at.
  package struct ControlGroup {
    /// The content of a file, or nil where it cannot be read.
    package typealias Contents = (_ path: String) -> String?

    /// Processors that the quotas come to, such as 1.5; nil where there is none.
    package let processorQuota: Double?
    /// Bytes that the process's groups may still take, the page cache that they would give back
    /// included; nil where there is no limit.
    package let availableMemory: Int?

    package static var current: ControlGroup {
      ControlGroup { try? String(contentsOfFile: $0, encoding: .utf8) }
    }

    /// - Parameter contents: the files to read, for tests.
    package init(contents: Contents) {
      var quotas: [Double] = []
      var memory: [Int] = []
      func numbers(_ path: String) -> [Double] {
        (contents(path) ?? "").split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
      }
      func number(_ path: String) -> Int? {
        (contents(path) ?? "").split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) }
      }
      /// Takes note of quota / period; a quota of -1 or "max" is none.
      func note(_ quota: Double?, _ period: Double?) {
        if let quota, let period, quota > 0, period > 0 { quotas.append(quota / period) }
      }
      func note(limit: Int?, used: Int?, _ statistics: String, _ field: String) {
        // Beyond any machine: version 1 says "no limit" with the largest number of pages. It also
        // keeps the sum below from overflowing, as the system's counts are capped likewise.
        let largest = 1 << 60
        guard let limit, let used, (0..<largest).contains(limit) else { return }
        let reclaimable = Self.field(field, in: contents(statistics) ?? "") ?? 0
        memory.append(
          max(0, limit - min(max(0, used), largest) + min(max(0, reclaimable), largest)))
      }
      for (controllers, path) in Self.paths(in: contents("/proc/self/cgroup") ?? "") {
        if controllers.isEmpty {
          for folder in Self.folders(["", "unified"], path) {
            let quota = numbers(folder + "/cpu.max")
            if quota.count == 2 { note(quota[0], quota[1]) }
            note(
              limit: number(folder + "/memory.max"), used: number(folder + "/memory.current"),
              folder + "/memory.stat", "file")
          }
        }
        if controllers.contains("cpu") {
          for folder in Self.folders(["cpu", "cpu,cpuacct"], path) {
            note(
              numbers(folder + "/cpu.cfs_quota_us").first,
              numbers(folder + "/cpu.cfs_period_us").first)
          }
        }
        if controllers.contains("memory") {
          for folder in Self.folders(["memory"], path) {
            note(
              limit: number(folder + "/memory.limit_in_bytes"),
              used: number(folder + "/memory.usage_in_bytes"), folder + "/memory.stat",
              "total_cache")
          }
        }
      }
      processorQuota = quotas.min()
      availableMemory = memory.min()
    }

    /// The lines `number:controllers:path` of /proc/self/cgroup; version 2's names no controllers.
    private static func paths(in text: String) -> [(controllers: [Substring], path: Substring)] {
      text.split(separator: "\n").compactMap { line in
        let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        return fields.count == 3 ? (fields[1].split(separator: ","), fields[2]) : nil
      }
    }

    /// The folders of a group and of all above it, under each place where its tree may be mounted.
    private static func folders(_ mounts: [String], _ path: Substring) -> [String] {
      var parts = path.split(separator: "/")
      var below = [""]
      // A path outside of what this process may see begins with "..": only the root is known.
      if parts.contains("..") { parts = [] }
      for count in 0..<parts.count {
        below.append("/" + parts[...count].joined(separator: "/"))
      }
      return mounts.flatMap { mount in
        below.map { "/sys/fs/cgroup" + (mount.isEmpty ? "" : "/" + mount) + $0 }
      }
    }

    /// The number behind a name that begins a line.
    package static func field(_ name: String, in text: String) -> Int? {
      for line in text.split(separator: "\n") {
        let words = line.split(separator: " ")
        if words.count >= 2, words[0] == name { return Int(words[1]) }
      }
      return nil
    }
  }
#endif
