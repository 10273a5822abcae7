/// One entry of the tensor directory: what a tensor is called, how it is laid out, where it lies.
public struct TensorRecord: Sendable, Equatable {
  /// 1 to 96 characters of `[A-Za-z0-9._-]`.
  public let name: String
  public let layout: TensorLayout
  /// Outlier lanes in use, at most one per row and step.
  public let outlierCount: Int
  /// Root of the mean squared error over root of the mean square of the tensor, measured when it
  /// was converted.
  public let relativeError: Float
  /// First byte in the file, a multiple of 64.
  public let offset: Int
  /// CRC-32 of the tensor's bytes.
  public let checksum: UInt32
  /// Index of the extent that holds the tensor.
  public let extent: Int

  public var byteCount: Int { layout.byteCount }
}

/// A contiguous, page-aligned run of tensors: the unit in which weights are kept or streamed.
public struct Extent: Sendable, Equatable {
  /// First byte in the file, a multiple of 4096.
  public let offset: Int
  /// Bytes to the end of the last tensor.
  public let byteCount: Int
}
