internal import CZstd

/// What a zstd frame says of itself (RFC 8878, section 3.1.1.1), before anything is decompressed.
package struct ZstdFrameHeader: Equatable {
  package static let magic: UInt32 = 0xFD2F_B528
  /// Magic and descriptor: with them `byteCount(descriptor:)` tells how much more to read.
  static let startBytes = 5
  /// The largest block of any frame, in bytes (section 3.1.1.2.4).
  static let maximumBlockBytes = 128 << 10

  /// Of the header itself.
  let byteCount: Int
  /// nil where the frame does not declare it.
  let contentBytes: UInt64?
  /// How far back the frame may refer, in bytes.
  let windowBytes: UInt64
  let hasChecksum: Bool

  /// Bytes of a header, from its descriptor (the byte behind the magic).
  static func byteCount(descriptor: UInt8) -> Int {
    let isSingleSegment = descriptor & 0x20 != 0
    let dictionaryBytes = [0, 1, 2, 4][Int(descriptor & 3)]
    return startBytes + (isSingleSegment ? 0 : 1) + dictionaryBytes + contentField(descriptor)
  }

  private static func contentField(_ descriptor: UInt8) -> Int {
    switch descriptor >> 6 {
    case 0: descriptor & 0x20 != 0 ? 1 : 0
    case 1: 2
    case 2: 4
    default: 8
    }
  }

  /// nil where the bytes do not begin with the whole header of a frame, where its reserved bit is
  /// set, or where it needs a dictionary.
  package init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= Self.startBytes,
      UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self)) == Self.magic
    else { return nil }
    let descriptor = bytes[4]
    guard descriptor & 0x08 == 0, descriptor & 3 == 0 else { return nil }
    byteCount = Self.byteCount(descriptor: descriptor)
    guard bytes.count >= byteCount else { return nil }
    hasChecksum = descriptor & 0x04 != 0
    let isSingleSegment = descriptor & 0x20 != 0
    let width = Self.contentField(descriptor)
    var content: UInt64 = 0
    for index in 0..<width {
      content |= UInt64(bytes[byteCount - width + index]) << UInt64(8 * index)
    }
    // No overflow: two bytes.
    if width == 2 { content += 256 }
    contentBytes = width > 0 ? content : nil
    if isSingleSegment {
      windowBytes = content
    } else {
      // At most 2^41 and seven eighths of it.
      let base = UInt64(1) << (10 + UInt64(bytes[5] >> 3))
      windowBytes = base + base / 8 * UInt64(bytes[5] & 7)
    }
  }
}

/// Compresses pieces into frames with a checksum each, one after another in the same memory.
package final class FrameCompressor {
  private let context: OpaquePointer
  private var memory: UnsafeMutableRawBufferPointer

  /// nil where there is no memory, or zstd does not know the level.
  package init?(level: Int) {
    guard let level = CInt(exactly: level), let context = ZSTD_createCCtx() else { return nil }
    self.context = context
    memory = .allocate(byteCount: 0, alignment: 1)
    for (parameter, value) in [(ZSTD_c_compressionLevel, level), (ZSTD_c_checksumFlag, 1)]
    where ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value)) != 0 {
      return nil
    }
  }

  deinit {
    ZSTD_freeCCtx(context)
    memory.deallocate()
  }

  /// Replaces `frame` by one frame that declares its content size and ends with a checksum of its
  /// content.
  ///
  /// - Returns: false where zstd fails.
  package func compress(_ content: UnsafeRawBufferPointer, into frame: inout [UInt8]) -> Bool {
    let bound = ZSTD_compressBound(content.count)
    guard ZSTD_isError(bound) == 0 else { return false }
    if memory.count < bound {
      memory.deallocate()
      memory = .allocate(byteCount: bound, alignment: 64)
    }
    let count = ZSTD_compress2(
      context, memory.baseAddress, memory.count, content.baseAddress, content.count)
    guard ZSTD_isError(count) == 0 else { return false }
    frame.removeAll(keepingCapacity: true)
    // zstd wrote at most `memory.count` bytes, all of them initialised.
    frame.append(contentsOf: UnsafeRawBufferPointer(rebasing: memory[..<count]))
    return true
  }
}

/// Decompresses frames one after another in the same memory.
package final class FrameDecompressor {
  private let context: OpaquePointer

  /// nil where there is no memory.
  package init?() {
    guard let context = ZSTD_createDCtx() else { return nil }
    self.context = context
  }

  deinit { ZSTD_freeDCtx(context) }

  /// The most bytes that a frame of `contentBytes` bytes needs.
  package static func largestFrame(contentBytes: Int) -> Int { ZSTD_compressBound(contentBytes) }

  /// Fills `content` from one whole frame, which must declare just that size and hold a checksum.
  ///
  /// - Returns: nil, or what was found instead.
  package func decompress(
    _ frame: UnsafeRawBufferPointer, into content: UnsafeMutableRawBufferPointer
  ) -> String? {
    guard let header = ZstdFrameHeader(frame) else { return "no frame" }
    guard header.hasChecksum else { return "a frame without a checksum" }
    guard header.contentBytes == UInt64(content.count) else {
      return "a frame that declares \(header.contentBytes.map { "\($0)" } ?? "no number of") bytes"
    }
    guard header.windowBytes <= 1 << UInt64(Zstd.maximumWindowLog) else {
      return "a window of \(header.windowBytes), more than \(1 << Int(Zstd.maximumWindowLog))"
    }
    let whole = ZSTD_findFrameCompressedSize(frame.baseAddress, frame.count)
    guard ZSTD_isError(whole) == 0, whole == frame.count else { return "no whole frame" }
    // zstd never writes past the given capacity.
    let count = ZSTD_decompressDCtx(
      context, content.baseAddress, content.count, frame.baseAddress, frame.count)
    guard ZSTD_isError(count) == 0 else {
      return "a frame that does not decompress (\(String(cString: ZSTD_getErrorName(count))))"
    }
    return count == content.count ? nil : "a frame of \(count) bytes"
  }
}
