import Synchronization
import SystemPackage

/// A model file, opened again for reads that go past the page cache.
///
/// ```swift
/// let file = try UncachedFile(modelFile)
/// let pages = UncachedFile.pages(around: range)  // room for these
/// try file.read(pages, upTo: range.upperBound, into: buffer)
/// ```
///
/// Weights that stream by once per token would push everything else out of the page cache and gain
/// nothing there, and filling it costs a processor about as much time as the disk takes. Where the
/// system cannot read without it, the pages are read through it and dropped at once.
///
/// It is the same file even where its name means another by now.
package final class UncachedFile: Sendable {
  /// Offsets, lengths and addresses of direct reads are multiples of this.
  package static let alignment = 4096

  private let plain: ModelFile
  /// Held for its descriptor, which is nil where there is none.
  private let direct: OpenFile?
  private let descriptor: CInt?
  /// Whether the file system still takes direct reads.
  private let isDirect: Atomic<Bool>

  package init(_ file: ModelFile) {
    plain = file
    switch file.file.reopenedForDirectReading() {
    case .some(let reopened):
      descriptor = reopened.descriptor
      direct = consume reopened
    case .none:
      descriptor = nil
      direct = nil
    }
    isDirect = Atomic(descriptor != nil)
  }

  /// The whole pages that hold a range of bytes.
  package static func pages(around range: Range<Int>) -> Range<Int> {
    let end = (range.upperBound + alignment - 1) / alignment * alignment
    return range.lowerBound / alignment * alignment..<end
  }

  /// Reads whole pages, as far as the file goes.
  ///
  /// - Parameters:
  ///   - end: the last byte that must be there, exclusive; inside the last page.
  ///   - buffer: `pages.count` bytes from a multiple of `alignment` on.
  /// - Throws: `FormatError.truncated`, `.unreadable`
  package func read(
    _ pages: Range<Int>, upTo end: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws(FormatError) {
    precondition(buffer.count >= pages.count && end <= pages.upperBound)
    var done = 0
    if isDirect.load(ordering: .relaxed) { done = readDirectly(pages, buffer) }
    let needed = end - pages.lowerBound
    if done >= needed { return }
    // Not at all, or not to the end: the plain way reads the rest or says what is wrong.
    try plain.read(
      into: UnsafeMutableRawBufferPointer(rebasing: buffer[done..<needed]),
      at: pages.lowerBound + done)
    plain.file.forgetCached(pages)
  }

  /// The bytes that could be read, from the first on.
  private func readDirectly(_ pages: Range<Int>, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
    guard let descriptor else { return 0 }
    var done = 0
    while done < pages.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done..<pages.count])
      do {
        let count = try SystemCall.pread(descriptor, rest, at: pages.lowerBound + done)
        done += count
        // A part of a page is the end of the file.
        if count == 0 || done % Self.alignment != 0 { break }
      } catch {
        if error == .invalidArgument { isDirect.store(false, ordering: .relaxed) }
        break
      }
    }
    return done
  }
}
