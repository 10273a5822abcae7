public import EmberModel

/// What two checkpoints must have in common for their statistics to be of the same inputs.
///
/// It tells shapes apart, not weights: whoever adds statistics of two trainings of one architecture
/// gets what they ask for.
public struct ModelFingerprint: Sendable, Equatable {
  /// The checkpoint's own name for its architecture, such as `LlamaForCausalLM`.
  public let name: String
  public let vocabularySize: Int
  public let width: Int
  public let layerCount: Int
  public let feedForwardWidth: Int
  public let headCount: Int
  public let keyValueHeadCount: Int
  public let headDimension: Int
  public let tiedHead: Bool

  init(
    name: String, vocabularySize: Int, width: Int, layerCount: Int, feedForwardWidth: Int,
    headCount: Int, keyValueHeadCount: Int, headDimension: Int, tiedHead: Bool
  ) {
    self.name = name
    self.vocabularySize = vocabularySize
    self.width = width
    self.layerCount = layerCount
    self.feedForwardWidth = feedForwardWidth
    self.headCount = headCount
    self.keyValueHeadCount = keyValueHeadCount
    self.headDimension = headDimension
    self.tiedHead = tiedHead
  }

  public init(_ architecture: Architecture) {
    self.init(
      name: architecture.name, vocabularySize: architecture.vocabularySize,
      width: architecture.width, layerCount: architecture.layerCount,
      feedForwardWidth: architecture.feedForwardWidth, headCount: architecture.attention.headCount,
      keyValueHeadCount: architecture.attention.keyValueHeadCount,
      headDimension: architecture.attention.headDimension, tiedHead: architecture.tiedHead)
  }

  /// - Throws: `CalibrationError.differentModels`, with the first field that differs.
  public func requireSame(as other: ModelFingerprint) throws(CalibrationError) {
    func check(_ field: String, _ a: some Equatable, _ b: some Equatable) throws(CalibrationError) {
      if "\(a)" != "\(b)" { throw .differentModels(field: field, expected: "\(a)", found: "\(b)") }
    }
    try check("architecture", name, other.name)
    try check("layers", layerCount, other.layerCount)
    try check("width", width, other.width)
    try check("feed-forward width", feedForwardWidth, other.feedForwardWidth)
    try check("heads", headCount, other.headCount)
    try check("key/value heads", keyValueHeadCount, other.keyValueHeadCount)
    try check("head dimension", headDimension, other.headDimension)
    try check("vocabulary", vocabularySize, other.vocabularySize)
    try check("tied head", tiedHead, other.tiedHead)
  }

  /// How many inputs a site has; nil where the model has no such site.
  func columns(of site: CalibrationSite) -> Int? {
    guard (0..<layerCount).contains(site.layer) else { return nil }
    return switch site.kind {
    case .query, .up, .head: width
    case .attentionOutput: headCount * headDimension
    case .down: feedForwardWidth
    }
  }
}
