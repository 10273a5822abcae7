import EmberFormat

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Zeros, reserved as addresses; a page becomes memory when it is written first, and only that page.
///
/// A large page given on the first touch would take two megabytes where a few kilobytes are in use:
/// the key/value cache grows in as many places as the model has key/value heads. So where the system
/// gives large pages to everybody (transparent huge pages, `always`), this memory declines them.
final class ReservedMemory {
  /// At the beginning of a page.
  let start: UnsafeMutableRawPointer
  let byteCount: Int

  /// Returns nil where the system refuses.
  init?(byteCount: Int) {
    let anywhere: UnsafeMutableRawPointer? = nil
    let address = mmap(
      anywhere, max(1, byteCount), PROT_READ | PROT_WRITE, MAP_PRIVATE | Self.anonymous, -1, 0)
    guard let address, address != Self.failed else { return nil }
    start = address
    self.byteCount = byteCount
    #if os(Linux)
      // Fails where the system has no large pages: then there is nothing to decline.
      _ = madvise(address, max(1, byteCount), MADV_NOHUGEPAGE)
    #endif
  }

  deinit { munmap(start, max(1, byteCount)) }

  /// Gives back the pages that lie wholly inside a part of it and hold any of its bytes from `first`
  /// on: they are zeros again.
  func release(_ part: UnsafeMutableRawBufferPointer, from first: Int) {
    guard let begin = part.baseAddress else { return }
    let offset = begin - start
    let page = Self.pageBytes
    precondition(offset >= 0 && offset + part.count <= byteCount && first >= 0)
    let lower = max((offset + page - 1) / page, (offset + first) / page) * page
    let upper = (offset + part.count) / page * page
    guard lower < upper else { return }
    SystemCall.discard(UnsafeMutableRawBufferPointer(start: start + lower, count: upper - lower))
  }

  static let pageBytes = max(1, Int(sysconf(CInt(_SC_PAGESIZE))))

  #if canImport(Darwin)
    private static let anonymous = MAP_ANON
  #else
    private static let anonymous = CInt(MAP_ANONYMOUS)
  #endif
  private static var failed: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: -1) }

  /// Bytes of the pages that are memory now: what `mincore` counts. nil where it does not say.
  var residentByteCount: Int? {
    #if os(Linux)
      let page = Self.pageBytes
      var flags = [UInt8](repeating: 0, count: (byteCount + page - 1) / page)
      guard mincore(start, byteCount, &flags) == 0 else { return nil }
      return flags.reduce(0) { $0 + Int($1 & 1) } * page
    #else
      return nil
    #endif
  }
}
