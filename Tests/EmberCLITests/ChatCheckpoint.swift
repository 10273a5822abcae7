import EmberTestSupport
import Foundation

/// A folder as Hugging Face's `save_pretrained` makes it: a Llama of one layer with random weights,
/// the tokenizer `plain` of the fixtures, whose control token is `<|end|>` (0), and a chat template.
final class ChatCheckpoint {
  static let template = """
    {%- for message in messages %}{{ message.role + ': ' + message.content + '<|end|>' }}
    {% endfor %}{% if add_generation_prompt %}assistant: {% endif %}
    """
  let folder: URL

  init(contextLength: Int = 512) throws {
    folder = try TestData.temporaryFolder()
    let source = folder.appending(path: "source")
    try FileManager.default.createDirectory(at: source, withIntermediateDirectories: true)
    func write(_ data: Data, _ name: String) throws {
      try data.write(to: source.appending(path: name))
    }
    let tokenizer = URL(
      filePath: TestData.bundled("Tests/EmberTokenizerTests/fixtures/plain.json"))
    try write(try Data(contentsOf: tokenizer), "tokenizer.json")
    try write(Data(Self.template.utf8), "chat_template.jinja")
    let configuration: [String: Any] = [
      "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
      "hidden_size": Self.width, "intermediate_size": Self.inner, "num_hidden_layers": 1,
      "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": Self.vocabularySize,
      "max_position_embeddings": contextLength, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
      "tie_word_embeddings": true, "torch_dtype": "float32",
    ]
    try write(try JSONSerialization.data(withJSONObject: configuration), "config.json")
    try write(try Self.safetensors(), "model.safetensors")
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  /// Runs the command in the folder, in which the checkpoint is called `source`.
  func ember(_ arguments: String..., input: String = "") async throws -> EmberProcess.Result {
    try await EmberProcess.run(arguments, input: input, in: folder)
  }

  private static let (width, inner, vocabularySize) = (64, 96, 512)

  private static func safetensors() throws -> Data {
    let half = width / 2
    let layer = "model.layers.0."
    let shapes: [(name: String, shape: [Int])] = [
      ("model.embed_tokens.weight", [vocabularySize, width]), ("model.norm.weight", [width]),
      (layer + "input_layernorm.weight", [width]),
      (layer + "post_attention_layernorm.weight", [width]),
      (layer + "self_attn.q_proj.weight", [width, width]),
      (layer + "self_attn.k_proj.weight", [half, width]),
      (layer + "self_attn.v_proj.weight", [half, width]),
      (layer + "self_attn.o_proj.weight", [width, width]),
      (layer + "mlp.gate_proj.weight", [inner, width]),
      (layer + "mlp.up_proj.weight", [inner, width]),
      (layer + "mlp.down_proj.weight", [width, inner]),
    ]
    var header: [String: Any] = [:]
    var data = Data()
    var state: UInt64 = 1
    for (name, shape) in shapes {
      let start = data.count
      for _ in 0..<shape.reduce(1, *) {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let value = shape.count == 1 ? 1 : Float(state >> 40) / Float(1 << 25) - 0.25
        withUnsafeBytes(of: value.bitPattern.littleEndian) { data.append(contentsOf: $0) }
      }
      header[name] = ["dtype": "F32", "shape": shape, "data_offsets": [start, data.count]]
    }
    let text = try JSONSerialization.data(withJSONObject: header)
    return withUnsafeBytes(of: UInt64(text.count).littleEndian) { Data($0) } + text + data
  }
}
