import SystemPackage

/// Memory of this process alone, from a page on, zeros at first; returned when it goes away.
///
/// Nobody can evict it but by swapping, and not even so where it could be locked. Unsafe, because
/// whoever takes the address must not use it longer than it lives.
package final class PrivateMemory: @unchecked Sendable {
  // Sendable because it is only an address; whoever shares the bytes says how.

  package let address: UnsafeMutableRawPointer
  package let byteCount: Int

  /// Why memory is not locked.
  package enum LockFailure: Sendable, Equatable {
    /// The limit on locked memory (`ulimit -l`) is too low.
    case limit
    case other(Errno)
  }

  /// - Parameter inLargePages: whether large pages are asked for, where the system has them: a disk's
  ///   reads then end in few places. They take no more memory where all of it is used.
  /// - Throws: the system's error.
  package init(byteCount: Int, inLargePages: Bool = false) throws(Errno) {
    self.byteCount = max(1, byteCount)
    address = try SystemCall.mapPrivate(byteCount: self.byteCount)
    if inLargePages { SystemCall.wantLargePages(range) }
  }

  deinit { SystemCall.unmap(range) }

  private var range: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: address, count: byteCount)
  }

  /// Some bytes of it.
  package func bytes(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
    return UnsafeMutableRawBufferPointer(start: address + range.lowerBound, count: range.count)
  }

  /// Gives the pages back that lie wholly inside a part of it; they are zeros again.
  package func release(_ range: Range<Int>) {
    let page = SystemCall.pageSize
    let lower = (range.lowerBound + page - 1) / page * page
    let upper = range.upperBound / page * page
    if lower < upper { SystemCall.discard(bytes(lower..<upper)) }
  }

  /// Takes all pages and keeps them out of the swap. Where they are to be filled, fill them before: it
  /// takes them as well, by several threads.
  ///
  /// - Returns: nil if they are locked.
  package func lock() -> LockFailure? {
    do {
      try SystemCall.lock(range)
      return nil
    } catch {
      // Linux says EPERM where the limit is 0, ENOMEM where it is exceeded; macOS EAGAIN.
      let isLimit = [.notPermitted, .noMemory, .resourceTemporarilyUnavailable].contains(error)
      return isLimit ? .limit : .other(error)
    }
  }
}
