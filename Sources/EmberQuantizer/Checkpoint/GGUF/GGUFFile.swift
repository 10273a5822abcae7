import SystemPackage

/// A GGUF file: metadata by key, and a directory of tensors.
///
/// Layout: magic, version, counts of tensors and of metadata; the metadata; the directory; padding
/// to `general.alignment`; the data. Little-endian, versions 2 and 3
/// (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).
struct GGUFFile: Sendable {
  struct Tensor: Sendable, Equatable {
    /// By its number in the file.
    let type: UInt32
    /// The slowest dimension first, unlike in the file.
    let shape: [Int]
    /// From the file's start.
    let offset: Int
  }

  let file: CheckpointFile
  let version: Int
  let metadata: [String: GGUFValue]
  let tensors: [String: Tensor]

  static let magic = Array("GGUF".utf8)

  /// Reads metadata and directory, and checks that all tensors of known type lie within the file
  /// and do not overlap.
  init(opening path: FilePath) throws(CheckpointError) {
    let file = try CheckpointFile(opening: path)
    var parser = GGUFParser(file)
    do throws(GGUFParser.Failure) {
      version = try parser.header()
      metadata = try parser.metadata()
      tensors = try parser.directory(alignment: parser.alignment(metadata))
    } catch {
      switch error {
      case .problem(let text): throw .damagedGGUF(path: path, problem: text)
      case .unsupported(let text): throw .unsupportedFormat(path: path, found: text)
      case .file(let error): throw error
      }
    }
    self.file = file
  }

  /// The tensors with the types that Ember reads.
  var storedTensors: StoredTensors {
    StoredTensors(
      format: "GGUF version \(version)", files: [file],
      tensors: tensors.mapValues { tensor in
        // Of a vector of blocks no part could be taken; nobody quantizes vectors.
        let type = GGUFTensorType.storedType(tensor.type).flatMap {
          tensor.shape.count == 1 && $0.blockElements > 1 ? nil : $0
        }
        return StoredTensor(
          file: file, offset: tensor.offset, type: type,
          typeName: GGUFTensorType.name(tensor.type), shape: tensor.shape)
      })
  }
}
