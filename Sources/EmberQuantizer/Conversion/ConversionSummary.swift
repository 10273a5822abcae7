public import EmberFormat

/// What a conversion did, for the lines that follow its progress bar.
public struct ConversionSummary: Sendable {
  public var tensorCount = 0
  public var fileBytes = 0
  /// Weights of all tensors, and of those in blocks or halves.
  public var weightCount = 0
  public var matrixWeightCount = 0
  /// Bytes of the tensors in blocks or halves: scales, outliers and padding included.
  public var matrixBytes = 0
  /// Weights kept in fp16 beside their blocks, and the weights of the tensors that may have them.
  public var outlierCount = 0
  public var blockWeightCount = 0
  /// The tensor that lost most: √(Σ error² / Σ weight²).
  public var largestRelativeError: (tensor: String, error: Float)?
  /// Weights of the tensors of each type.
  public var weightsByType: [BlockType: Int] = [:]
  /// The KL divergence from fp16 weights that the choice of types for `targetBits` expects, in nats
  /// per token; nil without a target.
  public var expectedDivergence: Double?
  public var seconds = 0.0
  public var warnings: [String] = []

  /// Bits per weight of the quantized tensors.
  public var bitsPerWeight: Double {
    matrixWeightCount == 0 ? 0 : Double(matrixBytes) * 8 / Double(matrixWeightCount)
  }
  /// Bits per weight of the file, everything in it counted.
  public var fileBitsPerWeight: Double {
    weightCount == 0 ? 0 : Double(fileBytes) * 8 / Double(weightCount)
  }
  /// Share of the weights in blocks that are kept in fp16, 0 to 1.
  public var outlierShare: Double {
    blockWeightCount == 0 ? 0 : Double(outlierCount) / Double(blockWeightCount)
  }
}

/// How far a conversion is.
public struct ConversionProgress: Sendable {
  /// Weights done, of how many; a weight that is looked at twice counts twice. While calibrating:
  /// tokens through a layer.
  public var done: Int
  public var total: Int
  /// The tensor being converted; while calibrating, the layer.
  public var tensor: String
  public var isCalibrating = false
}
