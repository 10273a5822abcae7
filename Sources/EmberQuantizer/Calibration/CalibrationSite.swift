public import EmberModel

/// A place where the inputs of matrices are observed: matrices with a common input share it.
///
/// ```swift
/// CalibrationSite(ofTensor: "layers.3.attention.value.weight", tiedHead: false)?.name
/// // "layers.3.attention.query"
/// ```
///
/// Sites are named after one of their matrices: `layers.3.attention.query` (query, key, value),
/// `layers.3.attention.output`, `layers.3.feed_forward.up` (up and gate),
/// `layers.3.feed_forward.down`, and `head`.
public struct CalibrationSite: Sendable, Hashable, CustomStringConvertible {
  /// Which input of a layer it is.
  public enum Kind: UInt16, Sendable, CaseIterable {
    /// The norm's output before attention, [width]: query, key, value.
    case query = 0
    /// The heads' outputs, [headCount · headDimension]: attention output.
    case attentionOutput = 1
    /// The norm's output before the feed-forward block, [width]: up, gate, those of all experts.
    case up = 2
    /// The activation's product, [feedForwardWidth]: down.
    case down = 3
    /// The final norm's output, [width]: head.
    case head = 4

    /// Those that every layer of a model has, in the order of the forward pass. An expert's down has
    /// none: each sees tokens of its own, often few.
    public static func ofLayer(in architecture: Architecture) -> [Kind] {
      [.query, .attentionOutput, .up, .down].filter { $0 != .down || architecture.has(.down) }
    }
  }

  public let kind: Kind
  /// The layer, from 0; 0 for the head too.
  public let layer: Int

  /// A site of a layer; the head has no layer, whatever is given.
  public init(_ kind: Kind, layer: Int) {
    self.kind = kind
    self.layer = kind == .head ? 0 : layer
  }

  /// The final norm's output.
  public static let head = CalibrationSite(.head, layer: 0)

  /// The site of a tensor's inputs, by its canonical name; nil for what is no matrix of a product:
  /// vectors, tables that only have rows looked up, names that no tensor has.
  ///
  /// - Parameter tiedHead: whether the embedding is the output head too, and has the head's site.
  public init?(ofTensor name: String, tiedHead: Bool) {
    if name == TensorName.head || name == TensorName.embedding && tiedHead {
      self = .head
      return
    }
    let parts = name.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0] == "layers", let layer = Int(parts[1]), layer >= 0,
      parts[2].hasSuffix(".weight")
    else { return nil }
    if let matrix = TensorName.Matrix(rawValue: String(parts[2].dropLast(7))) {
      self.init(Self.kind(of: matrix), layer: layer)
    } else if let matrix = TensorName.expertMatrix(name), matrix != .down {
      self.init(.up, layer: layer)
    } else {
      return nil
    }
  }

  private static func kind(of matrix: TensorName.Matrix) -> Kind {
    switch matrix {
    case .query, .key, .value: .query
    case .attentionOutput: .attentionOutput
    case .router, .gate, .up, .sharedGate: .up
    case .down: .down
    }
  }

  /// `layers.3.attention.query` and the like.
  public var name: String {
    let matrix: TensorName.Matrix
    switch kind {
    case .query: matrix = .query
    case .attentionOutput: matrix = .attentionOutput
    case .up: matrix = .up
    case .down: matrix = .down
    case .head: return TensorName.head
    }
    return "layers.\(layer).\(matrix.rawValue)"
  }

  public var description: String { name }

  /// How many inputs the matrices have.
  public func columns(in architecture: Architecture) -> Int {
    switch kind {
    case .query, .up, .head: architecture.width
    case .attentionOutput: architecture.attention.headCount * architecture.attention.headDimension
    case .down: architecture.feedForwardWidth
    }
  }

  /// All sites of a model, in the order of the forward pass.
  public static func all(in architecture: Architecture) -> [CalibrationSite] {
    (0..<architecture.layerCount).flatMap { layer in
      Kind.ofLayer(in: architecture).map { CalibrationSite($0, layer: layer) }
    } + [.head]
  }
}
