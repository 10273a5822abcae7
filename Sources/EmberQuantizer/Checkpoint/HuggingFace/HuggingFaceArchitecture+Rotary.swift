import EmberModel
import Foundation

extension HuggingFaceArchitecture {
  /// How an architecture spells its rotary embedding, where it is not as Llama does.
  struct RotarySpelling {
    var baseKey = "rope_theta"
    var base: Float = 10_000
    var shareKey = "partial_rotary_factor"
    /// Of a head's elements that are rotated, the share.
    var share = 1.0
    /// `original_max_position_embeddings`, where the configuration class has a default for it.
    var originalContext: Int?
    /// The parameters, where they are not the object in `rope_parameters` or `rope_scaling`.
    var parameters: HuggingFaceConfiguration?
    /// The names of scalings that the architecture has; nil for all.
    var scalings: [String]?
  }

  /// Rotary positions, and the longest text that the scaling makes of the trained length.
  ///
  /// Older files have `rope_theta` and `rope_scaling`, newer ones `rope_parameters` with both.
  static func rotaryPosition(
    _ configuration: HuggingFaceConfiguration, headDimension: Int, trainedLength: Int,
    spelling: RotarySpelling
  ) throws(CheckpointError) -> (Architecture.Position, contextLength: Int) {
    // Not `??`, whose right side cannot throw an error of a type.
    var parameters = spelling.parameters
    if parameters == nil { parameters = try configuration.object("rope_scaling") }
    if parameters == nil { parameters = try configuration.object("rope_parameters") }
    // As transformers: the base of the older files stands beside their `rope_scaling`.
    var base = try parameters?.number("rope_theta")
    if base == nil { base = try configuration.number(spelling.baseKey) }
    var named = try parameters?.number("partial_rotary_factor")
    if named == nil { named = try configuration.number(spelling.shareKey) }
    let share = named ?? spelling.share
    guard share <= 1 else {
      throw .invalidValue(
        path: configuration.path, key: configuration.named(spelling.shareKey),
        expected: "a number up to 1", found: "\(share)")
    }
    let reader = RotaryScalingReader(
      configuration: configuration, trainedLength: trainedLength, spelling: spelling)
    var scaling: Architecture.RotaryScaling?
    if let parameters { scaling = try reader.scaling(parameters) }
    let position = Architecture.Position.rotary(
      base: base.map { Float($0) } ?? spelling.base,
      dimensions: Int(Double(headDimension) * share), pairing: .halves, scaling: scaling)
    return (position, reader.contextLength(scaling))
  }
}

/// Reads the scaling of a rotary embedding, as transformers' `modeling_rope_utils` does.
private struct RotaryScalingReader {
  let configuration: HuggingFaceConfiguration
  /// `max_position_embeddings`
  let trainedLength: Int
  let spelling: HuggingFaceArchitecture.RotarySpelling

  func scaling(
    _ parameters: HuggingFaceConfiguration
  ) throws(CheckpointError) -> Architecture.RotaryScaling? {
    let key = parameters.value("rope_type") == nil ? "type" : "rope_type"
    let name = try parameters.string(key, default: "default")
    let names = spelling.scalings ?? ["linear", "dynamic", "yarn", "llama3", "longrope", "su"]
    guard name == "default" || names.contains(name) else {
      let supported = (["default"] + names).joined(separator: ", ")
      throw .unsupportedSetting(
        path: parameters.path, key: parameters.named(key), found: "\"\(name)\"",
        supported: supported)
    }
    switch name {
    case "linear": return .linear(factor: try parameters.positive("factor", default: nil))
    case "dynamic":
      // Counted from the trained length, whatever `original_max_position_embeddings` says.
      return .dynamic(
        factor: try parameters.positive("factor", default: nil), originalContext: trainedLength)
    case "yarn": return try yarn(parameters)
    case "llama3":
      return .llama3(
        factor: try parameters.positive("factor", default: nil),
        lowFrequencyFactor: try parameters.positive("low_freq_factor", default: nil),
        highFrequencyFactor: try parameters.positive("high_freq_factor", default: nil),
        originalContext: try originalContext(parameters))
    case "longrope", "su": return try longRope(parameters)
    default: return nil
    }
  }

  private func yarn(
    _ parameters: HuggingFaceConfiguration
  ) throws(CheckpointError) -> Architecture.RotaryScaling {
    let original = try originalContext(parameters)
    let factor = try factor(parameters, original)
    func growth(_ share: Double) -> Double { factor <= 1 ? 1 : 0.1 * share * log(factor) + 1 }
    var attention = growth(1)
    // transformers takes a zero as if it were not there.
    if let numerator = try notZero(parameters, "mscale"),
      let denominator = try notZero(parameters, "mscale_all_dim")
    {
      attention = growth(numerator) / growth(denominator)
    }
    let fast = try notZero(parameters, "beta_fast") ?? 32
    let slow = try notZero(parameters, "beta_slow") ?? 1
    return .yarn(
      factor: Float(factor), originalContext: original, betaFast: Float(fast),
      betaSlow: Float(slow),
      attentionFactor: try parameters.positive("attention_factor", default: Float(attention)),
      truncates: try parameters.boolean("truncate", default: true))
  }

  private func longRope(
    _ parameters: HuggingFaceConfiguration
  ) throws(CheckpointError) -> Architecture.RotaryScaling {
    let original = try originalContext(parameters)
    let factor = try factor(parameters, original)
    let attention = factor <= 1 ? 1 : (1 + log(factor) / log(Double(original))).squareRoot()
    return .longRope(
      shortFactors: try parameters.numbers("short_factor"),
      longFactors: try parameters.numbers("long_factor"), originalContext: original,
      attentionFactor: try parameters.positive("attention_factor", default: Float(attention)))
  }

  private func notZero(
    _ parameters: HuggingFaceConfiguration, _ key: String
  ) throws(CheckpointError) -> Double? {
    switch parameters.value(key) {
    case .integer(0), .number(0): nil
    default: try parameters.number(key)
    }
  }

  /// How far the context is stretched.
  private func factor(
    _ parameters: HuggingFaceConfiguration, _ original: Int
  ) throws(CheckpointError) -> Double {
    let factor = try parameters.number("factor")
    return factor ?? Double(trainedLength) / Double(original)
  }

  /// The one beside the parameters counts before the one among them.
  private func originalContext(
    _ parameters: HuggingFaceConfiguration
  ) throws(CheckpointError) -> Int {
    let key = "original_max_position_embeddings"
    let among = try parameters.count(key, default: trainedLength)
    return try configuration.count(key, default: spelling.originalContext ?? among)
  }

  /// Some files name the length before scaling as `max_position_embeddings`, others that behind it.
  func contextLength(_ scaling: Architecture.RotaryScaling?) -> Int {
    switch scaling {
    case .dynamic(let factor, let original), .yarn(let factor, let original, _, _, _, _):
      max(trainedLength, Int(min(Double(factor) * Double(original), 0x1p30)))
    default: trainedLength
    }
  }
}
