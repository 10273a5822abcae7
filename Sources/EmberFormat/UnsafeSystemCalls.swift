import SystemPackage

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// The system calls that this module needs, each once, as typed functions: errno becomes a thrown
/// `Errno`, an interrupted call is repeated.
package enum SystemCall {
  /// What `fstat` says, as far as it is of use.
  struct Status {
    let byteCount: Int
    let permissions: mode_t
    let linkCount: Int
    let isDirectory: Bool
    let isRegularFile: Bool
  }

  static func open(_ path: FilePath, _ flags: CInt, mode: mode_t = 0) throws(Errno) -> CInt {
    try repeating {
      path.withPlatformString { platformOpen($0, flags | O_CLOEXEC, mode) }
    }
  }

  static func close(_ descriptor: CInt) {
    // The result is of no use here: data was synced before, and the descriptor is gone anyway.
    _ = platformClose(descriptor)
  }

  static func status(_ descriptor: CInt) throws(Errno) -> Status {
    var raw = stat()
    guard fstat(descriptor, &raw) == 0 else { throw Errno(rawValue: errno) }
    return Status(raw)
  }

  /// Follows symbolic links.
  static func status(_ path: FilePath) throws(Errno) -> Status {
    var raw = stat()
    guard path.withPlatformString({ stat($0, &raw) }) == 0 else { throw Errno(rawValue: errno) }
    return Status(raw)
  }

  static func isWritable(_ path: FilePath) -> Bool {
    path.withPlatformString { access($0, W_OK) } == 0
  }

  /// Where a symbolic link points, nil for anything else.
  static func linkDestination(_ path: FilePath) -> FilePath? {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
    // One byte less than the buffer: the terminating zero stays.
    let count = path.withPlatformString { readlink($0, &buffer, buffer.count - 1) }
    return count > 0 ? FilePath(platformString: buffer) : nil
  }

  /// Bytes read at `offset`, 0 at the end of the file.
  static func pread(
    _ descriptor: CInt, _ buffer: UnsafeMutableRawBufferPointer, at offset: Int
  ) throws(Errno) -> Int {
    try repeating { platformRead(descriptor, buffer.baseAddress, buffer.count, off_t(offset)) }
  }

  /// Bytes written at `offset`, at least one.
  static func pwrite(
    _ descriptor: CInt, _ buffer: UnsafeRawBufferPointer, at offset: Int
  ) throws(Errno) -> Int {
    let written = try repeating {
      platformWrite(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
    }
    guard written > 0 || buffer.isEmpty else { throw .ioError }
    return written
  }

  /// The next bytes of a stream, 0 at its end.
  static func read(
    _ descriptor: CInt, _ buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    try repeating { platformRead(descriptor, buffer.baseAddress, buffer.count) }
  }

  /// Bytes appended to a stream, at least one.
  static func write(
    _ descriptor: CInt, _ buffer: UnsafeRawBufferPointer
  ) throws(Errno) -> Int {
    let written = try repeating { platformWrite(descriptor, buffer.baseAddress, buffer.count) }
    guard written > 0 || buffer.isEmpty else { throw .ioError }
    return written
  }

  static func setPermissions(_ descriptor: CInt, _ mode: mode_t) throws(Errno) {
    _ = try repeating { fchmod(descriptor, mode) }
  }

  static func resize(_ descriptor: CInt, to byteCount: Int) throws(Errno) {
    _ = try repeating { ftruncate(descriptor, off_t(byteCount)) }
  }

  /// Data and size on the device itself, not only in its cache.
  static func synchronize(_ descriptor: CInt) throws(Errno) {
    #if canImport(Darwin)
      if fcntl(descriptor, F_FULLFSYNC) == 0 { return }
    #endif
    _ = try repeating { fsync(descriptor) }
  }

  static func rename(_ source: FilePath, to target: FilePath) throws(Errno) {
    _ = try repeating {
      source.withPlatformString { from in
        target.withPlatformString { to in platformRename(from, to) }
      }
    }
  }

  package static func unlink(_ path: FilePath) throws(Errno) {
    _ = try repeating { path.withPlatformString { platformUnlink($0) } }
  }

  static func makeFolder(_ path: FilePath) throws(Errno) {
    _ = try repeating { path.withPlatformString { mkdir($0, 0o755) } }
  }

  /// Of an empty folder.
  static func removeFolder(_ path: FilePath) throws(Errno) {
    _ = try repeating { path.withPlatformString { rmdir($0) } }
  }

  /// An exclusive advisory lock, held until the descriptor closes (also when its process dies).
  static func lockWithoutWaiting(_ descriptor: CInt) throws(Errno) {
    _ = try repeating { flock(descriptor, LOCK_EX | LOCK_NB) }
  }

  /// A shared read-only mapping of the first `byteCount` bytes.
  static func mapReadOnly(
    _ descriptor: CInt, byteCount: Int
  ) throws(Errno) -> UnsafeRawBufferPointer {
    let address = mmap(nil, byteCount, PROT_READ, MAP_SHARED, descriptor, 0)
    guard let address, address != MAP_FAILED else { throw Errno(rawValue: errno) }
    return UnsafeRawBufferPointer(start: address, count: byteCount)
  }

  static func unmap(_ mapping: UnsafeRawBufferPointer) {
    // Cannot fail for a range that `mapReadOnly` returned.
    _ = munmap(UnsafeMutableRawPointer(mutating: mapping.baseAddress), mapping.count)
  }

  /// Advice on a range that starts on a page.
  static func advise(_ range: UnsafeRawBufferPointer, _ advice: CInt) throws(Errno) {
    _ = try repeating {
      madvise(UnsafeMutableRawPointer(mutating: range.baseAddress), range.count, advice)
    }
  }

  /// Opens the file behind a descriptor once more, for reads that go past the page cache; it is the
  /// same file whatever its name means by now.
  static func reopenDirect(_ descriptor: CInt) throws(Errno) -> CInt {
    #if os(Linux)
      try open(FilePath("/proc/self/fd/\(descriptor)"), O_RDONLY | direct)
    #else
      throw Errno.notSupported
    #endif
  }

  /// Drops a range of a file from the page cache. Only ever a hint, so errors are dropped too.
  static func forgetCached(_ descriptor: CInt, _ range: Range<Int>) {
    #if os(Linux)
      _ = posix_fadvise(
        descriptor, off_t(range.lowerBound), off_t(range.count), POSIX_FADV_DONTNEED)
    #elseif canImport(Darwin)
      // No such call for a range: the descriptor is told not to keep anything.
      _ = fcntl(descriptor, F_NOCACHE, 1)
    #endif
  }

  /// Private memory of zeros, `byteCount` bytes from the start of a page on.
  static func mapPrivate(byteCount: Int) throws(Errno) -> UnsafeMutableRawPointer {
    let address = mmap(
      nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0)
    guard let address, address != MAP_FAILED else { throw Errno(rawValue: errno) }
    return address
  }

  /// Asks for large pages; only ever a hint, so errors are dropped.
  static func wantLargePages(_ range: UnsafeRawBufferPointer) {
    #if os(Linux)
      _ = madvise(
        UnsafeMutableRawPointer(mutating: range.baseAddress), range.count, MADV_HUGEPAGE)
    #endif
  }

  /// Gives whole pages of private memory back: they are zeros again.
  package static func discard(_ pages: UnsafeMutableRawBufferPointer) {
    #if os(Linux)
      _ = madvise(pages.baseAddress, pages.count, MADV_DONTNEED)
    #else
      // The new mapping takes the place of the old one.
      _ = mmap(
        pages.baseAddress, pages.count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANON,
        -1, 0)
    #endif
  }

  /// Keeps pages in memory until they are unmapped.
  static func lock(_ range: UnsafeRawBufferPointer) throws(Errno) {
    guard let start = range.baseAddress else { return }
    _ = try repeating { mlock(start, range.count) }
  }

  static var pageSize: Int { Int(sysconf(CInt(_SC_PAGESIZE))) }

  /// The names in a folder; none where it cannot be listed.
  static func names(in folder: FilePath) -> [String] {
    guard let stream = folder.withPlatformString({ opendir($0) }) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      // d_name is a zero-terminated C string inside the entry, valid until the next readdir.
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(
          to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)
        ) { String(cString: $0) }
      }
      names.append(name)
    }
    return names
  }

  private static func repeating<R: SignedInteger>(_ call: () -> R) throws(Errno) -> R {
    while true {
      let result = call()
      if result != -1 { return result }
      let code = Errno(rawValue: errno)
      if code != .interrupted { throw code }
    }
  }
}

extension SystemCall.Status {
  fileprivate init(_ raw: stat) {
    let kind = raw.st_mode & S_IFMT
    self.init(
      byteCount: Int(raw.st_size), permissions: raw.st_mode & 0o777,
      linkCount: Int(raw.st_nlink), isDirectory: kind == S_IFDIR,
      isRegularFile: kind == S_IFREG)
  }
}

#if os(Linux)
  // O_DIRECT, which the headers show only to C programs that ask for GNU's extensions.
  #if arch(arm64) || arch(arm)
    private let direct: CInt = 0o200000
  #else
    private let direct: CInt = 0o40000
  #endif
#endif

// Inside SystemCall its own functions hide the C functions of the same name.
private func platformOpen(_ path: UnsafePointer<CChar>, _ flags: CInt, _ mode: mode_t) -> CInt {
  open(path, flags, mode)
}
private func platformClose(_ descriptor: CInt) -> CInt { close(descriptor) }
private func platformRead(
  _ descriptor: CInt, _ buffer: UnsafeMutableRawPointer?, _ count: Int, _ offset: off_t
) -> Int {
  pread(descriptor, buffer, count, offset)
}
private func platformWrite(
  _ descriptor: CInt, _ buffer: UnsafeRawPointer?, _ count: Int, _ offset: off_t
) -> Int {
  pwrite(descriptor, buffer, count, offset)
}
private func platformRead(
  _ descriptor: CInt, _ buffer: UnsafeMutableRawPointer?, _ count: Int
) -> Int {
  read(descriptor, buffer, count)
}
private func platformWrite(
  _ descriptor: CInt, _ buffer: UnsafeRawPointer?, _ count: Int
) -> Int {
  write(descriptor, buffer, count)
}
private func platformRename(_ from: UnsafePointer<CChar>, _ to: UnsafePointer<CChar>) -> CInt {
  rename(from, to)
}
private func platformUnlink(_ path: UnsafePointer<CChar>) -> CInt { unlink(path) }
