/// What packing and unpacking have in common; `formats/packed.md` specifies the file.
enum PackedFile {
  /// Content of every frame but the last. Frames of 64 KiB would be larger by 0.1 %, those of 8 MiB
  /// smaller by 0.01 % (docs/packing.md), and a thread needs memory for two.
  static let frameBytes = 2 << 20
  /// What a reader takes.
  static let frameByteRange = 64 << 10...8 << 20

  /// The most content that may come from so many bytes: weights compress by 1.0 to 2, a bomb by
  /// 30,000. The first frames may be anything.
  static func maximumContent(storedBytes: Int) -> Int {
    let (product, overflows) = storedBytes.multipliedReportingOverflow(by: 256)
    let (sum, carries) = product.addingReportingOverflow(64 << 20)
    return overflows || carries ? .max : sum
  }
}

/// What packing or unpacking did.
public struct PackingSummary: Sendable {
  /// Bytes of the model file.
  public let modelBytes: Int
  /// Bytes of the archive.
  public let packedBytes: Int
  /// Frames of the archive.
  public let frames: Int
}
