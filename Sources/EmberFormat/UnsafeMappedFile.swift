import SystemPackage

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// A whole file, mapped read-only and shared; unmapped when it goes away.
///
/// Sendable although it holds a pointer: nobody writes through it. If another process shortens
/// the file while it is mapped, touching the lost pages raises SIGBUS, as with every mapping; that
/// ends a process which does not handle the signal, and the command-line tool turns it into an
/// error. Ember itself replaces files only by rename, which leaves the mapped one alone.
struct MappedFile: ~Copyable, @unchecked Sendable {
  let bytes: UnsafeRawBufferPointer

  init(_ file: borrowing OpenFile, byteCount: Int) throws(FormatError) {
    do {
      bytes = try SystemCall.mapReadOnly(file.descriptor, byteCount: byteCount)
    } catch {
      throw .unreadable(file.path, operation: "map", error)
    }
  }

  deinit { SystemCall.unmap(bytes) }

  /// Advises the pages that hold the range; the part outside the file is left out. Advice may
  /// fail (no such advice on this kernel, no memory) without any harm, so errors are dropped.
  func advise(_ advice: PageAdvice, _ range: Range<Int>) {
    let range = range.clamped(to: 0..<bytes.count)
    guard !range.isEmpty else { return }
    let start = range.lowerBound / SystemCall.pageSize * SystemCall.pageSize
    try? SystemCall.advise(
      UnsafeRawBufferPointer(rebasing: bytes[start..<range.upperBound]), advice.rawValue)
  }

  /// Reads the pages that hold the range and maps them, and returns when they are there. What is
  /// in memory already costs some microseconds a megabyte. The part outside the file is left out.
  ///
  /// - Returns: false where this system cannot, or where the pages cannot be read.
  func populate(_ range: Range<Int>) -> Bool {
    #if os(Linux)
      // MADV_POPULATE_READ, Linux 5.14; not in every C library's headers.
      let populateRead: CInt = 22
      let range = range.clamped(to: 0..<bytes.count)
      guard !range.isEmpty else { return true }
      let start = range.lowerBound / SystemCall.pageSize * SystemCall.pageSize
      do {
        try SystemCall.advise(
          UnsafeRawBufferPointer(rebasing: bytes[start..<range.upperBound]), populateRead)
        return true
      } catch {
        return false
      }
    #else
      return false
    #endif
  }
}

/// What the kernel is told about pages of the mapping.
package struct PageAdvice: Sendable {
  fileprivate let rawValue: CInt

  /// Read ahead now.
  package static let willNeed = PageAdvice(rawValue: CInt(MADV_WILLNEED))
  /// May be dropped; a later access reads the file again.
  package static let dontNeed = PageAdvice(rawValue: CInt(MADV_DONTNEED))
  /// Read from front to back.
  package static let sequential = PageAdvice(rawValue: CInt(MADV_SEQUENTIAL))
  /// The kernel's default.
  package static let normal = PageAdvice(rawValue: CInt(MADV_NORMAL))
}
