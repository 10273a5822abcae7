import EmberModel

extension GGUFArchitecture {
  /// What GGUF files call the tensors of all architectures.
  ///
  /// - Parameters:
  ///   - position: the table of learned positions.
  ///   - norms: those of a layer beside the two before its blocks.
  ///   - fused: the matrices in `attn_qkv`.
  ///   - fusedUp: whether `ffn_up` holds the gate and then the up projection.
  ///   - experts: where there are some; the plain block's names are then those of the shared expert.
  static func tensorNames(
    gated: Bool, position: String? = nil, norms: [TensorName.Norm: String] = [:],
    fused: [TensorName.Matrix] = [], fusedUp: Bool = false, experts: Architecture.Experts? = nil
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
    if experts != nil {
      matrices[.router] = .init(stem: "ffn_gate_inp")
      matrices[.gate] = .init(stem: "ffn_gate_shexp")
      matrices[.up] = .init(stem: "ffn_up_shexp")
      matrices[.down] = .init(stem: "ffn_down_shexp")
      matrices[.sharedGate] = .init(stem: "ffn_gate_inp_shexp", isVector: true)
    }
    var names = TensorNameMap(
      prefixes: [""],
      embedding: "token_embd",
      position: position,
      layers: "blk",
      norms: [.attention: "attn_norm", .feedForward: "ffn_norm"].merging(norms) { $1 },
      matrices: matrices,
      finalNorm: "output_norm",
      head: "output",
      // What describes the rotary embedding, read elsewhere.
      ignoredSuffixes: [
        "rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight",
      ])
    if experts != nil {
      names.experts = .init(
        stem: "", matrices: [:],
        stacked: [.gate: "ffn_gate_exps", .up: "ffn_up_exps", .down: "ffn_down_exps"])
    }
    return names
  }
}
