import EmberModel

/// One architecture as Hugging Face checkpoints spell it: how its configuration describes the
/// model, and what its tensors are called.
///
/// A new architecture is a new value of this type in a file of its own and a line in `known`.
/// Defaults are those of transformers' configuration class for it.
struct HuggingFaceArchitecture: Sendable {
  /// What `architectures` in `config.json` says.
  let name: String
  /// Reads the configuration; refuses what the runtime does not compute.
  let describe:
    @Sendable (HuggingFaceConfiguration) throws(CheckpointError) -> (Architecture, TensorNameMap)

  /// All that Ember reads.
  static let known: [HuggingFaceArchitecture] = [
    .llama, .mistral, .qwen2, .qwen3, .gemma, .gemma2, .gemma3, .gemma3Conditional, .phi3, .phi,
    .mixtral, .qwen2Moe, .qwen3Moe, .gptNeoX, .gptJ, .gpt2, .opt, .bloom, .stableLM, .starcoder2,
  ]

  /// The one that a configuration names.
  static func named(
    by configuration: HuggingFaceConfiguration
  ) throws(CheckpointError) -> HuggingFaceArchitecture {
    let name = try configuration.architectureName()
    guard let architecture = known.first(where: { $0.name == name }) else {
      throw .unknownArchitecture(
        path: configuration.path, found: name,
        known: known.map(\.name) + HuggingFaceEncoderDecoder.known.map(\.name))
    }
    return architecture
  }
}

/// What a checkpoint calls the tensors of a model.
///
/// Names are stems: `.weight` or `.bias` follows. Those of a layer stand after the layer's own
/// prefix, such as `model.layers.7.`.
struct TensorNameMap: Sendable {
  /// What all names but the head's begin with. Checkpoints of one architecture differ in it; the
  /// first under which there is an embedding table applies.
  var prefixes: [String]
  var embedding: String
  var embeddingNorm: String?
  /// Learned positions only.
  var position: String?
  /// Rows of the table of positions before that of the first position.
  var positionOffset = 0
  /// What stands before a layer's number.
  var layers: String
  var norms: [TensorName.Norm: String]
  /// What the gains of all norms are stored less: 1 where the checkpoint holds gain − 1.
  var gainOffset: Float = 0
  var matrices: [TensorName.Matrix: MatrixName]
  /// Mixtures only.
  var experts: ExpertNames?
  var finalNorm: String?
  var head: String
  var headBias = Bias.ifPresent
  /// Beginnings and ends of the names of tensors that are no weights of the model and may be there.
  var ignoredPrefixes: [String] = []
  var ignoredSuffixes: [String] = []

  /// Where the weight of one matrix is found.
  struct MatrixName: Sendable {
    var stem: String
    var order: Order = .outputsByInputs
    /// The matrices that share this tensor, stacked along the outputs in this order.
    var fused: [TensorName.Matrix] = []
    /// Whether they are stacked head by head: the first one's outputs of a head, the second one's
    /// of the same head, and so on.
    var isFusedByHead = false
    /// Whether a matrix of one row is stored as a vector.
    var isVector = false
    var bias: Bias = .ifPresent
  }

  enum Order: Sendable {
    /// A linear layer's [outputs, inputs].
    case outputsByInputs
    /// A one-wide convolution's [inputs, outputs].
    case inputsByOutputs
  }

  enum Bias: Sendable {
    case required
    case ifPresent
  }
}

extension TensorNameMap {
  /// Says of some matrices that their biases must be there.
  mutating func requireBiases(of matrices: [TensorName.Matrix]) {
    for matrix in matrices { self.matrices[matrix]?.bias = .required }
  }
}
