import EmberQuantizer
import EmberTestSupport
import Foundation
import SystemPackage
import Testing

/// A tensor that a test writes into a safetensors file.
struct FixtureTensor {
  var name: String
  var type: String
  var shape: [Int]
  var values: [Float]

  /// The values in the element type of the tensor, little-endian. Values have to be exact in it.
  var bytes: [UInt8] {
    values.flatMap { value -> [UInt8] in
      let bits = value.bitPattern
      let half: UInt32
      switch type {
      case "F16":
        let sign = bits >> 16 & 0x8000
        let exponent = bits >> 23 & 0xFF
        half =
          switch exponent {
          case 0: sign
          case 255: sign | 0x7C00 | (bits >> 13 & 0x3FF)
          default: sign | (exponent - 112) << 10 | (bits >> 13 & 0x3FF)
          }
      case "BF16": half = bits >> 16
      default: return (0..<4).map { UInt8(truncatingIfNeeded: bits >> (8 * UInt32($0))) }
      }
      return [UInt8(truncatingIfNeeded: half), UInt8(truncatingIfNeeded: half >> 8)]
    }
  }
}

/// Small checkpoints in a folder of their own, removed with the value.
final class CheckpointFixture {
  let folder: URL

  init() throws { folder = try TestData.temporaryFolder() }
  deinit { try? FileManager.default.removeItem(at: folder) }

  var path: FilePath { FilePath(folder.path) }
  func path(_ name: String) -> FilePath { path.appending(name) }

  func write(_ bytes: [UInt8], to name: String) throws {
    try Data(bytes).write(to: folder.appending(path: name))
  }
  func write(_ text: String, to name: String) throws { try write(Array(text.utf8), to: name) }
  func write(_ configuration: [String: Any]) throws {
    let data = try JSONSerialization.data(withJSONObject: configuration)
    try data.write(to: folder.appending(path: "config.json"))
  }

  // MARK: Values

  /// Multiples of 1/64 of eight bits: exact in F32, F16 and BF16. Different for each name.
  static func values(_ count: Int, seed: String) -> [Float] {
    var state = seed.utf8.reduce(UInt64(14_695_981_039_346_656_037)) {
      ($0 ^ UInt64($1)) &* 1_099_511_628_211
    }
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(Int(state >> 33) % 511 - 255) / 64
    }
  }

  static func tensor(_ name: String, _ shape: [Int], type: String) -> FixtureTensor {
    FixtureTensor(
      name: name, type: type, shape: shape, values: values(shape.reduce(1, *), seed: name))
  }

  // MARK: safetensors

  static func safetensors(header: String, data: [UInt8] = []) -> [UInt8] {
    let length = UInt64(header.utf8.count)
    return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + Array(header.utf8) + data
  }

  static func safetensors(_ tensors: [FixtureTensor]) -> [UInt8] {
    var records = [#""__metadata__":{"format":"pt"}"#]
    var data: [UInt8] = []
    for tensor in tensors {
      let bytes = tensor.bytes
      records.append(
        #""\#(tensor.name)":{"dtype":"\#(tensor.type)","shape":\#(tensor.shape),"#
          + #""data_offsets":[\#(data.count),\#(data.count + bytes.count)]}"#)
      data += bytes
    }
    return safetensors(header: "{" + records.joined(separator: ",") + "}", data: data)
  }

  // MARK: Llama

  static var llamaConfiguration: [String: Any] {
    [
      "architectures": ["LlamaForCausalLM"], "hidden_size": 16, "intermediate_size": 24,
      "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 20,
      "max_position_embeddings": 32, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
      "hidden_act": "silu", "tie_word_embeddings": true, "bos_token_id": 1,
      "eos_token_id": [2, 3],
    ]
  }

  static func llamaTensors(type: String = "F16") -> [FixtureTensor] {
    var tensors = [tensor("model.embed_tokens.weight", [20, 16], type: type)]
    for layer in 0..<2 {
      for (name, shape) in [
        ("input_layernorm", [16]), ("mlp.down_proj", [16, 24]), ("mlp.gate_proj", [24, 16]),
        ("mlp.up_proj", [24, 16]), ("post_attention_layernorm", [16]),
        ("self_attn.k_proj", [8, 16]), ("self_attn.o_proj", [16, 16]),
        ("self_attn.q_proj", [16, 16]), ("self_attn.v_proj", [8, 16]),
      ] {
        tensors.append(tensor("model.layers.\(layer).\(name).weight", shape, type: type))
      }
    }
    tensors.append(tensor("model.norm.weight", [16], type: type))
    return tensors
  }

  /// Writes `config.json` and `model.safetensors` of a tiny Llama.
  func writeLlama(
    _ changes: [String: Any] = [:], tensors: [FixtureTensor] = llamaTensors()
  ) throws {
    try write(Self.llamaConfiguration.merging(changes) { $1 })
    try write(Self.safetensors(tensors), to: "model.safetensors")
  }

  // MARK: GPT-2

  static func gpt2Configuration(width: Int, inner: Int? = nil) -> [String: Any] {
    [
      "architectures": ["GPT2LMHeadModel"], "n_embd": width, "n_layer": 1, "n_head": 4,
      "n_positions": 10, "vocab_size": 20, "n_inner": inner as Any? ?? NSNull(),
      "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new",
    ]
  }

  static func gpt2Tensors(
    width: Int, inner: Int, prefix: String, type: String
  ) -> [FixtureTensor] {
    [
      ("wte.weight", [20, width]), ("wpe.weight", [10, width]),
      ("h.0.attn.bias", [1, 1, 10, 10]),
      ("h.0.attn.c_attn.bias", [3 * width]), ("h.0.attn.c_attn.weight", [width, 3 * width]),
      ("h.0.attn.c_proj.bias", [width]), ("h.0.attn.c_proj.weight", [width, width]),
      ("h.0.ln_1.bias", [width]), ("h.0.ln_1.weight", [width]), ("h.0.ln_2.bias", [width]),
      ("h.0.ln_2.weight", [width]), ("h.0.mlp.c_fc.bias", [inner]),
      ("h.0.mlp.c_fc.weight", [width, inner]), ("h.0.mlp.c_proj.bias", [width]),
      ("h.0.mlp.c_proj.weight", [inner, width]), ("ln_f.bias", [width]), ("ln_f.weight", [width]),
    ].map { tensor(prefix + $0.0, $0.1, type: type) }
  }

  // MARK: llama2.c

  /// The header and the number of floats that follow it.
  static func llama2c(
    _ header: [Int32] = [16, 24, 2, 4, 2, 20, 32]
  ) -> (header: [UInt8], floats: Int) {
    let sizes = header.map(Int.init)
    let (width, inner, layers, heads) = (sizes[0], sizes[1], sizes[2], sizes[3])
    let perHead = width / heads
    let perLayer =
      2 * width + 2 * width * width + 2 * width * sizes[4] * perHead + 3 * width * inner
    let tables = abs(sizes[5]) * width * (sizes[5] < 0 ? 2 : 1)
    return (int32(header), tables + layers * perLayer + width + sizes[6] * perHead)
  }

  static func int32(_ values: [Int32]) -> [UInt8] {
    values.flatMap { value in
      (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * Int32($0))) }
    }
  }

  static func float32(_ values: [Float]) -> [UInt8] {
    FixtureTensor(name: "", type: "F32", shape: [], values: values).bytes
  }
}

extension Checkpoint {
  /// A tensor by its canonical name.
  func tensor(_ name: String) throws -> CheckpointTensor {
    guard let tensor = tensors.first(where: { $0.name == name }) else {
      throw CheckpointError.missingTensor(path: "", tensor: name)
    }
    return tensor
  }
}

extension CheckpointTensor {
  /// Some rows, or all.
  func values(rows range: Range<Int>? = nil) throws -> [Float] {
    let range = range ?? 0..<rows
    // One element more, to notice writing too far.
    let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: range.count * columns + 1)
    defer { buffer.deallocate() }
    buffer.initialize(repeating: -12345)
    try read(rows: range, into: buffer)
    guard buffer[range.count * columns] == -12345 else {
      throw CheckpointError.missingTensor(path: "", tensor: "written past the end")
    }
    return Array(buffer.dropLast())
  }
}

/// The error that opening a path ends in, nil if it opens.
func openingError(_ path: FilePath, tokenizer: FilePath? = nil) -> CheckpointError? {
  do throws(CheckpointError) {
    _ = try CheckpointReader.open(path, tokenizer: tokenizer)
    return nil
  } catch {
    return error
  }
}

/// Converts a hostile path with the built program, under the limits that reading one has to keep.
func expectWithinLimits(
  _ path: FilePath, sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let complaint = try BuiltProgram.complaint(running: ["quantize", path.string])
  #expect(complaint == nil, sourceLocation: sourceLocation)
}
