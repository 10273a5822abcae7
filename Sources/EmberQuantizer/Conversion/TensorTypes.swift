import EmberFormat
import EmberModel

/// A type for the tensors whose name a pattern fits, in place of what the options would choose.
public struct TensorTypeRule: Sendable, Equatable {
  /// A tensor's name, in which `*` stands for any characters.
  public var pattern: String
  public var type: BlockType

  public init(pattern: String, type: BlockType) {
    self.pattern = pattern
    self.type = type
  }

  /// Whether the pattern fits the whole name.
  public func fits(_ name: String) -> Bool {
    let parts = pattern.split(separator: "*", omittingEmptySubsequences: false)
    guard let first = parts.first, let last = parts.last, parts.count > 1 else {
      return pattern == name
    }
    var rest = name[...]
    guard rest.hasPrefix(first) else { return false }
    rest = rest.dropFirst(first.count)
    for part in parts.dropFirst().dropLast() where !part.isEmpty {
      guard let found = rest.firstRange(of: part) else { return false }
      rest = rest[found.upperBound...]
    }
    return rest.count >= last.count && rest.hasSuffix(last)
  }
}

extension QuantizationOptions {
  /// What a tensor of a model with `layerCount` layers is stored as.
  func type(of tensor: CheckpointTensor, layerCount: Int) -> BlockType {
    type(ofTensor: tensor.name, layerCount: layerCount)
  }

  /// A rule that fits nothing is a mistake in its pattern.
  ///
  /// - Throws: `QuantizerError.invalidOption`
  func requireUse(ofRulesFor checkpoint: Checkpoint) throws(QuantizerError) {
    var plain = self
    plain.tensorTypes = []
    let names = checkpoint.tensors.map(\.name).filter {
      plain.type(ofTensor: $0, layerCount: 1) != .f32 && !Self.staysHalf($0)
    }
    for rule in tensorTypes where !names.contains(where: rule.fits) {
      throw .invalidOption(
        name: "--tensor-type", expected: "the name of a matrix, such as \(names.last ?? "head")",
        found: "\(rule.pattern), which fits none")
    }
  }

  /// The same by the tensor's canonical name.
  package func type(ofTensor name: String, layerCount: Int) -> BlockType {
    if name.hasSuffix(".bias") || name.hasSuffix("norm.weight")
      || name.hasSuffix(TensorName.relativeBias)
    {
      return .f32
    }
    if Self.staysHalf(name) { return .f16 }
    // The last rule wins, so that a general one can come first.
    if let rule = tensorTypes.last(where: { $0.fits(name) }) { return rule.type }
    // Positions are few, and every token's stream begins with one.
    if name == TensorName.position { return Self.type(bits: max(resolvedTableBits, 8)) }
    let isTable = name == TensorName.embedding || name == TensorName.head
    if isTable { return Self.type(bits: resolvedTableBits) }
    if bits == 4, isEarlyDownProjection(name, layerCount) { return .q5 }
    return Self.type(bits: bits)
  }

  /// The down projections of the first eighth of the layers read the inputs that are spread most
  /// unevenly; a bit more for them gains several times what it does elsewhere.
  private func isEarlyDownProjection(_ name: String, _ layerCount: Int) -> Bool {
    (0..<(layerCount + 7) / 8).contains { name == TensorName.weight(.down, layer: $0) }
  }

  /// What is small, and decides which experts a token is given to or how much they count.
  static func staysHalf(_ name: String) -> Bool {
    [TensorName.Matrix.router, .sharedGate].contains { name.hasSuffix("\($0.rawValue).weight") }
  }

  private static func type(bits: Int) -> BlockType {
    switch bits {
    case 4: .q4n
    case 5: .q5
    case 6: .q6
    case 8: .q8
    default: .f16
    }
  }
}
