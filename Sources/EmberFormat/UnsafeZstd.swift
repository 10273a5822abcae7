internal import CZstd

/// The zstd-compressed sections: small, read once, one frame each.
enum Zstd {
  /// High, because the sections are small; fixed, so that equal input gives equal output.
  static let level: CInt = 19

  /// The farthest that a frame may refer back, which is what a streaming reader must keep; level
  /// 19 reaches no farther today.
  static let maximumWindowLog: CInt = 23

  /// What a frame starts with (RFC 8878, section 3.1.1).
  private static let frameMagic: UInt32 = 0xFD2F_B528

  /// One frame that declares its content size, or nil where zstd fails.
  static func compress(_ bytes: [UInt8]) -> [UInt8]? {
    let capacity = ZSTD_compressBound(bytes.count)
    guard ZSTD_isError(capacity) == 0, let context = ZSTD_createCCtx() else { return nil }
    defer { ZSTD_freeCCtx(context) }
    for (parameter, value) in [
      (ZSTD_c_compressionLevel, level), (ZSTD_c_windowLog, maximumWindowLog),
    ] where ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value)) != 0 {
      return nil
    }
    var failed = false
    let frame = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
      let written = bytes.withUnsafeBytes { source in
        ZSTD_compress2(context, buffer.baseAddress, capacity, source.baseAddress, source.count)
      }
      failed = ZSTD_isError(written) != 0
      // zstd wrote at most `capacity` bytes, all of them initialised.
      count = failed ? 0 : written
    }
    return failed ? nil : frame
  }

  /// The content of a frame that must fill `frame` exactly and hold exactly `byteCount` bytes;
  /// the error is what was found instead. The caller has capped `byteCount`.
  static func decompress(_ frame: [UInt8], byteCount: Int) -> Result<[UInt8], Failure> {
    // zstd itself would also take a "skippable" frame, which holds whatever it likes.
    guard frame.count >= 4, frame.littleEndian(UInt32.self, at: 0) == frameMagic else {
      return .failure(Failure(found: "no frame"))
    }
    let (declared, frameBytes) = frame.withUnsafeBytes { source in
      (
        ZSTD_getFrameContentSize(source.baseAddress, source.count),
        ZSTD_findFrameCompressedSize(source.baseAddress, source.count)
      )
    }
    guard ZSTD_isError(frameBytes) == 0, frameBytes == frame.count else {
      return .failure(Failure(found: "no whole frame"))
    }
    // The values for "unknown" and "error" are near 2^64 and equal no capped size.
    guard declared == UInt64(byteCount) else {
      return .failure(Failure(found: "a frame that declares another content size"))
    }
    let window = windowSize(frame, byteCount: byteCount)
    guard window <= 1 << Int(maximumWindowLog) else {
      return .failure(
        Failure(found: "a window of \(window), more than \(1 << Int(maximumWindowLog))"))
    }
    var written = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
      written = frame.withUnsafeBytes { source in
        ZSTD_decompress(buffer.baseAddress, byteCount, source.baseAddress, source.count)
      }
      // zstd never writes past the given capacity; on success the first `written` bytes are set.
      count = ZSTD_isError(written) == 0 ? written : 0
    }
    guard bytes.count == byteCount, ZSTD_isError(written) == 0 else {
      return .failure(Failure(found: "a frame that does not decompress"))
    }
    return .success(bytes)
  }

  /// The window of a whole frame (RFC 8878, section 3.1.1.1.2): zstd's own function for it is not
  /// part of its stable interface.
  private static func windowSize(_ frame: [UInt8], byteCount: Int) -> Int {
    // Single segment: the window is the content.
    guard frame.count >= 6, frame[4] & 0x20 == 0 else { return byteCount }
    let base = 1 << (10 + Int(frame[5] >> 3))
    return base + base / 8 * Int(frame[5] & 7)
  }

  struct Failure: Error {
    let found: String
  }
}
