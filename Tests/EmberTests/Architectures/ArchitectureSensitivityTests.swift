import Ember
import EmberTestSupport
import Foundation
import Testing

/// The comparison with transformers would notice: a setting that is read wrongly makes it fail.
@Suite("Settings of architectures", .serialized)
struct ArchitectureSensitivityTests {
  private static let plainRotary = #"{"rope_type":"default","rope_theta":10000.0}"#

  @Test(
    "each changes the logits by more than the comparison allows",
    arguments: [
      ("llama", "rms_norm_eps", "0.001"), ("llama-3.1", "rope_parameters", plainRotary),
      ("llama-linear", "rope_parameters", plainRotary),
      (
        "llama-dynamic", "rope_parameters",
        #"{"rope_type":"dynamic","rope_theta":10000.0,"factor":7.0}"#
      ),
      ("llama-longrope", "rope_parameters", plainRotary),
      (
        "llama-yarn", "rope_parameters",
        #"{"rope_type":"yarn","factor":8,"original_max_position_embeddings":64}"#
      ),
      (
        "llama-yarn", "rope_parameters",
        #"""
        {"rope_type":"yarn","factor":8,"original_max_position_embeddings":64,"beta_fast":2,
        "truncate":false}
        """#
      ),
      ("mistral", "sliding_window", "25"), ("mistral", "sliding_window", "null"),
      ("qwen2-window", "layer_types", #"["sliding_attention","sliding_attention"]"#),
      ("qwen3", "rms_norm_eps", "0.001"), ("gemma", "hidden_act", #""relu""#),
      ("gemma2", "attn_logit_softcapping", "null"), ("gemma2", "final_logit_softcapping", "null"),
      ("gemma2", "query_pre_attn_scalar", "25"), ("gemma2", "sliding_window", "25"),
      (
        "gemma2", "layer_types",
        #"["sliding_attention","sliding_attention","sliding_attention"]"#
      ),
      (
        "gemma3", "rope_parameters",
        #"""
        {"full_attention":{"rope_type":"linear","rope_theta":1000000.0,"factor":8.0},
        "sliding_attention":{"rope_type":"default","rope_theta":12000.0}}
        """#
      ),
      (
        "gemma3", "rope_parameters",
        #"{"full_attention":{"rope_type":"default","rope_theta":1000000.0}}"#
      ),
      ("phi3", "sliding_window", "41"), ("phi3-longrope", "rope_parameters", plainRotary),
      ("phi3-longrope", "original_max_position_embeddings", "80"),
      ("gpt-neox", "rope_parameters", plainRotary), ("gpt-neox", "hidden_act", #""gelu_new""#),
      ("gpt-neox", "use_parallel_residual", "false"), ("gpt-j", "rotary_dim", "4"),
      ("opt", "do_layer_norm_before", "false"), ("opt", "_remove_final_layer_norm", "true"),
      ("bloom", "layer_norm_epsilon", "0.001"), ("starcoder2", "sliding_window", "39"),
      ("starcoder2", "hidden_act", #""silu""#), ("stablelm", "use_parallel_residual", "true"),
    ])
  func shows(name: String, key: String, value: String) throws {
    let checkpoint = try #require(ArchitectureCheckpoint.all.first { $0.name == name })
    let changed = try ArchitectureModel.convert(
      checkpoint, named: "\(name)-changed", options: QuantizationOptions(bits: 16),
      change: (key, value))
    let prompts = try changed.reference.texts.map { text in
      try changed.rows(text, chunks: [text.length])
    }
    let comparison = LogitComparison(prompts, changed.reference)
    #expect(!comparison.agrees, "\(key): \(comparison)")
  }
}
