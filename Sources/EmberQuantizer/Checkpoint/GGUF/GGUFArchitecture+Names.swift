import EmberModel

extension GGUFArchitecture {
  /// What GGUF files call the tensors of all architectures.
  ///
  /// - Parameters:
  ///   - position: the table of learned positions.
  ///   - fused: the matrices in `attn_qkv`.
  ///   - fusedUp: whether `ffn_up` holds the gate and then the up projection.
  static func tensorNames(
    gated: Bool, position: String? = nil, fused: [TensorName.Matrix] = [],
    fusedUp: Bool = false
  ) -> TensorNameMap {
    var matrices: [TensorName.Matrix: TensorNameMap.MatrixName] = [
      .query: .init(stem: "attn_q"), .key: .init(stem: "attn_k"), .value: .init(stem: "attn_v"),
      .attentionOutput: .init(stem: "attn_output"),
      .up: .init(stem: "ffn_up"), .down: .init(stem: "ffn_down"),
    ]
    if gated { matrices[.gate] = .init(stem: "ffn_gate") }
    for matrix in fused { matrices[matrix] = .init(stem: "attn_qkv", fused: fused) }
    if fusedUp {
      for matrix in [TensorName.Matrix.gate, .up] {
        matrices[matrix] = .init(stem: "ffn_up", fused: [.gate, .up])
      }
    }
    return TensorNameMap(
      prefixes: [""],
      embedding: "token_embd",
      position: position,
      layers: "blk",
      norms: [.attention: "attn_norm", .feedForward: "ffn_norm"],
      matrices: matrices,
      finalNorm: "output_norm",
      head: "output",
      // What describes the rotary embedding, read elsewhere.
      ignoredSuffixes: [
        "rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight",
      ])
  }
}
