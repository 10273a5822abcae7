#if os(Linux)
  import Foundation

  /// A control group of its own whose processes read from one disk no faster than is said, by version
  /// 1 of the interface.
  struct ReadLimit {
    private let folder: String
    private let device: String

    /// Whether reads of files in the temporary folder can be limited here.
    static var canBeMade: Bool {
      let probe = FileManager.default.temporaryDirectory
      guard let limit = try? ReadLimit(disk: probe, bytesPerSecond: 1 << 30) else { return false }
      limit.remove()
      return true
    }

    /// - Parameter disk: a file on it.
    /// - Throws: where this process may not make one, or the file is not on a disk of its own.
    init(disk: URL, bytesPerSecond: Int) throws {
      var status = stat()
      guard stat(disk.path, &status) == 0 else { throw CocoaError(.fileReadNoSuchFile) }
      // The macros major() and minor() of glibc.
      let number = UInt64(status.st_dev)
      let major = number >> 8 & 0xfff | number >> 32 & ~0xfff
      let minor = number & 0xff | number >> 12 & ~0xff
      device = "\(major):\(minor)"
      folder = "/sys/fs/cgroup/blkio/ember-test-\(UUID().uuidString)"
      try FileManager.default.createDirectory(
        atPath: folder, withIntermediateDirectories: false)
      do {
        try set(bytesPerSecond: bytesPerSecond)
      } catch {
        remove()
        throw error
      }
    }

    /// Holds from now on.
    func set(bytesPerSecond: Int) throws {
      try Data("\(device) \(bytesPerSecond)".utf8).write(
        to: URL(filePath: "\(folder)/blkio.throttle.read_bps_device"))
    }

    /// Runs a program inside.
    var wrapper: [String] {
      ["/bin/sh", "-c", "echo $$ > \(folder)/cgroup.procs && exec \"$@\"", "sh"]
    }

    func remove() { rmdir(folder) }
  }
#endif
