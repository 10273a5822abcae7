import EmberModel

/// One architecture as Hugging Face checkpoints spell it: how its configuration describes the
/// model, and what its tensors are called.
///
/// A new architecture is a new value of this type in a file of its own and a line in `known`.
struct HuggingFaceArchitecture: Sendable {
  /// What `architectures` in `config.json` says.
  let name: String
  /// Reads the configuration; refuses what the runtime does not compute.
  let describe:
    @Sendable (HuggingFaceConfiguration) throws(CheckpointError) -> (Architecture, TensorNameMap)

  /// All that Ember reads.
  static let known: [HuggingFaceArchitecture] = [.llama, .gpt2]

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
  /// Learned positions only.
  var position: String?
  /// What stands before a layer's number.
  var layers: String
  var norms: [TensorName.Norm: String]
  var matrices: [TensorName.Matrix: MatrixName]
  var finalNorm: String
  var head: String
  /// Ends of the names of buffers that are no weights and may be there.
  var ignoredSuffixes: [String]

  /// Where the weight of one matrix is found.
  struct MatrixName: Sendable {
    var stem: String
    var order: Order = .outputsByInputs
    /// The matrices that share this tensor, stacked along the outputs in this order.
    var fused: [TensorName.Matrix] = []
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
