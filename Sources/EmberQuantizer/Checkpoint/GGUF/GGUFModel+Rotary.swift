import EmberModel
import Foundation

extension GGUFModel {
  /// Rotary embedding of whole heads or their beginning, and how it is stretched.
  ///
  /// - Parameter pairing: what llama.cpp's table of architectures says: the file does not.
  func rotary(
    headDimension: Int, pairing: Architecture.RotaryPairing
  ) throws(CheckpointError) -> Architecture.Position {
    let dimensions = try metadata.count("rope.dimension_count", default: headDimension)
    guard dimensions % 2 == 0, dimensions <= headDimension else {
      throw metadata.invalid(
        "rope.dimension_count", expected: "an even number of at most \(headDimension)")
    }
    return .rotary(
      base: try metadata.positive("rope.freq_base") ?? 10_000, dimensions: dimensions,
      pairing: pairing, scaling: try rotaryScaling(pairs: dimensions / 2))
  }

  private func rotaryScaling(
    pairs: Int
  ) throws(CheckpointError) -> Architecture.RotaryScaling? {
    let context = try metadata.count("context_length")
    let original = try metadata.count("rope.scaling.original_context_length", default: context)
    // Llama 3.1's scaling, as divisors that the converter has worked out; one list for all lengths.
    if let factors = try factors("rope_freqs.weight", count: pairs) {
      return .longRope(
        shortFactors: factors, longFactors: factors, originalContext: original, attentionFactor: 1)
    }
    if let long = try factors("rope_factors_long.weight", count: pairs),
      let short = try factors("rope_factors_short.weight", count: pairs)
    {
      return .longRope(
        shortFactors: short, longFactors: long, originalContext: original,
        attentionFactor: try metadata.positive("rope.scaling.attn_factor") ?? 1)
    }
    switch try metadata.string("rope.scaling.type") {
    case nil:
      guard let factor = try metadata.positive("rope.scale_linear"), factor != 1 else { return nil }
      return .linear(factor: factor)
    case "none"?: return nil
    case "linear"?: return .linear(factor: try metadata.positive("rope.scaling.factor") ?? 1)
    case "yarn"?:
      let factor = try metadata.positive("rope.scaling.factor") ?? 1
      let attention = try metadata.positive("rope.scaling.attn_factor") ?? 1
      return .yarn(
        factor: factor, originalContext: original,
        betaFast: try metadata.positive("rope.scaling.yarn_beta_fast") ?? 32,
        betaSlow: try metadata.positive("rope.scaling.yarn_beta_slow") ?? 1,
        attentionFactor: attention * (1 + 0.1 * log(max(factor, 1))), truncates: true)
    case let kind?:
      throw .unsupportedSetting(
        path: metadata.path, key: "\(metadata.architecture).rope.scaling.type", found: kind,
        supported: "none, linear, yarn, factors as tensors")
    }
  }

  /// The values of a vector that is part of the description, nil where there is none.
  private func factors(_ name: String, count: Int) throws(CheckpointError) -> [Float]? {
    guard let tensor = tensors[name] else { return nil }
    guard tensor.shape == [count] else {
      throw .wrongShape(
        path: metadata.path, tensor: name, expected: [count], found: tensor.shape)
    }
    guard let type = tensor.type else {
      throw .unsupportedType(path: metadata.path, tensor: name, found: tensor.typeName)
    }
    let vector = CheckpointTensor(
      name: name, rows: 1, columns: count, storedName: name,
      storage: tensor.matrix(of: type, columns: count, order: .outputsByInputs, firstOutput: 0))
    let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
    defer { buffer.deallocate() }
    try vector.read(rows: 0..<1, into: buffer)
    return Array(buffer)
  }
}
