public import SystemPackage

/// A model file, opened, validated and mapped; the weights are computed on where they lie.
///
/// ```swift
/// let file = try ModelFile(opening: "model.q4")
/// for tensor in file.tensors {
///   print(tensor.name, tensor.layout.type.name, tensor.layout.rows, tensor.layout.columns)
/// }
/// ```
///
/// Opening always validates the structure: magic, version, sizes, the checksums of everything but
/// the weights, and that every tensor lies where the one before it ends. It costs no more than
/// reading the few kilobytes around the weights. The weights' own checksums are verified on
/// request, at the price of reading them all.
///
/// The format is specified in `formats/model-file.md`. The file must not be changed in place while
/// it is open; replacing it by rename, as `ModelFileWriter` does, is harmless.
public final class ModelFile: Sendable {
  public let path: FilePath
  /// Size of the file.
  public let fileBytes: Int
  /// Version of the format.
  public let version: Int
  /// The tensors in the order of the file.
  public let tensors: [TensorRecord]
  /// The runs of tensors in the order of the file.
  public let extents: [Extent]
  /// JSON in UTF-8, decompressed; its content is not this module's business.
  public let metadata: [UInt8]
  /// The tokenizer, decompressed, likewise opaque.
  public let tokenizer: [UInt8]

  private let indices: [String: Int]
  let gaps: [Range<Int>]
  let file: OpenFile
  let mapping: MappedFile

  /// Opens, validates and maps a model file.
  ///
  /// - Parameter verifyingChecksums: also runs `verify()`, which reads every weight.
  /// - Throws: `FormatError`, which says what is wrong with which part.
  public convenience init(
    opening path: FilePath, verifyingChecksums: Bool = false
  ) throws(FormatError) {
    try self.init(opening: path, named: path)
    if verifyingChecksums { try verify() }
  }

  /// - Parameter name: the path that errors name, where a temporary one would say nothing.
  init(opening path: FilePath, named name: FilePath) throws(FormatError) {
    let file = try OpenFile.reading(path, named: name)
    let contents = try Contents(reading: file)
    let mapping = try MappedFile(file, byteCount: contents.fileBytes)
    self.path = name
    fileBytes = contents.fileBytes
    version = Int(FileHeader.supportedVersion)
    tensors = contents.tensors
    extents = contents.extents
    metadata = contents.metadata
    tokenizer = contents.tokenizer
    indices = contents.indices
    gaps = contents.gaps
    self.file = file
    self.mapping = mapping
  }

  /// The tensor of that name, or nil. O(1).
  public func tensor(named name: String) -> TensorRecord? {
    indices[name].map { tensors[$0] }
  }
}
