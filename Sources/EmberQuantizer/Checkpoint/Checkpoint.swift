import EmberModel
import EmberTokenizer
import SystemPackage

/// A trained checkpoint: a description of the model and its tensors under canonical names.
///
/// ```swift
/// let checkpoint = try CheckpointReader.open("stories15M.bin")
/// for tensor in checkpoint.tensors {
///   print(tensor.name, tensor.rows, tensor.columns)
/// }
/// ```
///
/// Opening reads only headers; weights are read when asked for, a few rows at a time, so that a
/// checkpoint of any size passes through a small buffer. Whatever the file calls its tensors and
/// in whichever order it stores them, they appear here as `TensorName` calls them, in the order
/// of a model file, as matrices of [outputs, inputs]. It is not a model: nothing is computed.
public struct Checkpoint: Sendable {
  /// What the model is.
  public let architecture: Architecture
  /// Embedding, positions, the layers (norm, query, key, value, output, norm, gate, up, down;
  /// each weight before its bias), the final norm, and the head unless it is tied.
  public internal(set) var tensors: [CheckpointTensor]
  /// The tokenizer's file, where one was named or found beside the weights.
  public let tokenizerSource: TokenizerSource?
  /// The id that a text begins with, if the checkpoint names one within its vocabulary.
  public let beginOfSequence: Int?
  /// The id that a text ends with, if the checkpoint names one within its vocabulary.
  public let endOfSequence: Int?
  /// Where the weights come from.
  public let provenance: CheckpointProvenance
  /// What a user should know although it stops nothing, such as tensors that no one asked for.
  public let warnings: [String]
  /// The Jinja template that lays out a conversation, if the checkpoint has one; only text so far.
  public internal(set) var chatTemplate: String? = nil
  /// All ids that end a reply, sorted, where the checkpoint names more than `endOfSequence`; empty
  /// where it does not.
  public internal(set) var stopTokens: [Int] = []
}

/// A tokenizer's file and how to read it.
public enum TokenizerSource: Sendable, Equatable {
  /// A `tokenizer.bin` as llama2.c's `tokenizer.py` exports it.
  case llama2c(FilePath)
  /// A `tokenizer.json` of Hugging Face's tokenizers.
  case huggingFace(FilePath)
  /// A folder with `source.spm`, `target.spm` and `vocab.json`, as Marian's translators have them.
  case marian(FilePath)
  /// A SentencePiece model that has sentinels behind its pieces, as T5's `spiece.model`; fewer where
  /// the embedding has no rows for them.
  case sentinels(FilePath, count: Int)
  /// A file whose contents say what it is: SentencePiece's or tiktoken's `tokenizer.model`.
  case other(FilePath)
  /// What a GGUF file says of its tokenizer.
  case gguf(GGUFVocabulary, file: FilePath)
}

/// Where a model's weights come from, as a model file records it.
///
/// The same checkpoint gives the same record wherever and whenever it is read: no time stamps,
/// no absolute paths.
public struct CheckpointProvenance: Codable, Sendable, Equatable {
  /// The kind of checkpoint: `llama2.c version 0`, `safetensors`, `PyTorch`, `GGUF version 3`.
  public var format: String
  /// The last component of the checkpoint's path.
  public var name: String
  /// The names of the files that hold the weights, sorted.
  public var files: [String]
  /// The sizes of these files, added up.
  public var byteCount: Int
  /// The element types of the tensors that are used, sorted, such as `["BF16", "F32"]`.
  public var storedTypes: [String]

  public init(
    format: String, name: String, files: [String], byteCount: Int, storedTypes: [String]
  ) {
    self.format = format
    self.name = name
    self.files = files
    self.byteCount = byteCount
    self.storedTypes = storedTypes
  }
}
