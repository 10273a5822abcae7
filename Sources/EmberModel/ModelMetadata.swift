import Foundation

/// The JSON in a model file's metadata section: what the model is and how it came to be.
///
/// Its keys are specified in `formats/metadata.md`.
public struct ModelMetadata: Codable, Sendable, Equatable {
  public var architecture: Architecture
  public var recipe: Recipe
  public var source: Source
  /// The program that wrote the file, such as `ember 0.1.0`.
  public var writtenBy: String
  /// The Jinja template that lays out a conversation; nil for a model that has none.
  public var chatTemplate: String?
  /// Ids that end a reply, beside the tokenizer's end of the sequence; nil for no others.
  public var stopTokens: [Int]?

  /// How the weights were quantized.
  public struct Recipe: Codable, Sendable, Equatable {
    /// 4, 5, 6, 8 or 16: the precision of the layers' matrices.
    public var bits: Int
    /// The precision of the embedding table and the output head.
    public var tableBits: Int
    /// Bits per weight of the whole file, where types were chosen for that; then `bits` and
    /// `tableBits` are those of most layers' weights and of the embedding table.
    public var targetBits: Double?
    /// `auto`, `0`, or the share of weights kept in fp16, in percent.
    public var outliers: String

    public init(bits: Int, tableBits: Int, targetBits: Double? = nil, outliers: String) {
      self.bits = bits
      self.tableBits = tableBits
      self.targetBits = targetBits
      self.outliers = outliers
    }
  }

  /// The checkpoint that the file was made from.
  public struct Source: Codable, Sendable, Equatable {
    /// Such as `llama2.c version 0` or `safetensors`.
    public var format: String
    /// The last component of its path.
    public var name: String
    public var files: [String]
    public var bytes: Int
    /// The types its weights were stored in, such as `F16`.
    public var types: [String]

    public init(format: String, name: String, files: [String], bytes: Int, types: [String]) {
      self.format = format
      self.name = name
      self.files = files
      self.bytes = bytes
      self.types = types
    }
  }

  public init(
    architecture: Architecture, recipe: Recipe, source: Source, writtenBy: String,
    chatTemplate: String? = nil, stopTokens: [Int]? = nil
  ) {
    self.architecture = architecture
    self.recipe = recipe
    self.source = source
    self.writtenBy = writtenBy
    self.chatTemplate = chatTemplate
    self.stopTokens = stopTokens
  }

  /// The same bytes for the same content: keys sorted.
  public func encoded() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return [UInt8](try encoder.encode(self))
  }

  /// - Throws: `ModelError.invalidMetadata`
  public init(decoding bytes: [UInt8], path: String) throws(ModelError) {
    do {
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      self = try decoder.decode(ModelMetadata.self, from: Data(bytes))
    } catch {
      throw .invalidMetadata(path: path, Self.problem(error))
    }
    if let problem = architecture.inconsistency {
      throw .invalidMetadata(path: path, problem)
    }
  }

  private static func problem(_ error: any Error) -> String {
    guard let error = error as? DecodingError else { return "is not JSON" }
    func place(_ context: DecodingError.Context) -> String {
      let path = context.codingPath.map(\.stringValue).joined(separator: ".")
      return path.isEmpty ? "the top level" : path
    }
    return switch error {
    case .keyNotFound(let key, let context): "\(key.stringValue) is missing at \(place(context))"
    case .typeMismatch(let type, let context): "\(place(context)) is not of type \(type)"
    case .valueNotFound(_, let context): "\(place(context)) is null"
    case .dataCorrupted(let context): "\(place(context)) is damaged"
    @unknown default: "is damaged"
    }
  }
}
