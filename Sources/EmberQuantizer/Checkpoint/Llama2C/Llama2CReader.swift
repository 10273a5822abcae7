import EmberModel
import Foundation
import SystemPackage

/// Opens a llama2.c checkpoint of version 0, 1 or 2, with its `tokenizer.bin` beside it.
enum Llama2CReader {
  static func open(
    _ path: FilePath, name: String, tokenizer: TokenizerSource?
  ) throws(CheckpointError) -> Checkpoint {
    let file = try CheckpointFile(opening: path)
    let header = try Llama2CHeader(
      file.bytes(in: 0..<min(file.size, Llama2CHeader.largestSize)), path: path)
    guard let layout = Llama2CLayout(header) else {
      throw .implausibleHeader(
        path: path, field: "n_layers", expected: "weights of less than 2^63 bytes in all",
        found: header.layerCount)
    }
    guard layout.fileSize == file.size else {
      throw .wrongSize(path: path, expected: layout.fileSize, found: file.size)
    }
    let architecture = architecture(of: header)
    // Before its tensors are listed: there would be nine for each of a billion layers.
    if let problem = architecture.inconsistency {
      throw .invalidValue(
        path: path, key: "header", expected: "a model that can be run", found: problem)
    }
    let tensors = layout.tensors(of: architecture, in: file)
    var warnings: [String] = []
    if header.groupSize != nil {
      warnings.append(
        "the weights are stored at 8 bits: quantizing them again costs quality; convert the"
          + " original checkpoint where there is one")
    }
    return Checkpoint(
      architecture: architecture,
      tensors: tensors,
      tokenizerSource: tokenizer ?? tokenizerBeside(path, warnings: &warnings),
      // The ids that run.c fixes. Its `generate` ends a text at 1, since models trained with its
      // train.py never see 2 and begin the next text with 1; its `chat` ends at 2.
      beginOfSequence: header.vocabularySize > 1 ? 1 : nil,
      endOfSequence: header.vocabularySize > 2 ? 2 : nil,
      provenance: CheckpointProvenance(
        format: "llama2.c version \(header.version)", name: name,
        files: [path.lastComponent?.string ?? name],
        byteCount: file.size, storedTypes: Set(tensors.map(\.storedType)).sorted()),
      warnings: warnings)
  }

  /// What run.c computes for every file of this format.
  private static func architecture(of header: Llama2CHeader) -> Architecture {
    Architecture(
      name: "llama2.c",
      vocabularySize: header.vocabularySize,
      width: header.width,
      layerCount: header.layerCount,
      feedForwardWidth: header.feedForwardWidth,
      contextLength: header.contextLength,
      norm: .init(kind: .rootMeanSquare, epsilon: 1e-5),
      position: .rotary(base: 10_000, dimensions: header.headDimension, pairing: .adjacent),
      attention: .init(
        headCount: header.headCount, keyValueHeadCount: header.keyValueHeadCount,
        headDimension: header.headDimension),
      feedForward: .init(kind: .gated, activation: .silu),
      tiedHead: header.tiedHead)
  }

  /// `tokenizer.bin`, or else the only `tok*.bin`, in the folder of the checkpoint.
  private static func tokenizerBeside(
    _ path: FilePath, warnings: inout [String]
  ) -> TokenizerSource? {
    let parent = path.removingLastComponent()
    let folder = parent.isEmpty ? FilePath(".") : parent
    let usual = folder.appending("tokenizer.bin")
    if usual.lastComponent != path.lastComponent, PathKind(of: usual) == .file {
      return .llama2c(usual)
    }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.string)) ?? []
    let candidates = names.filter {
      $0.hasPrefix("tok") && $0.hasSuffix(".bin") && $0 != path.lastComponent?.string
        && PathKind(of: folder.appending($0)) == .file
    }.sorted()
    guard candidates.count <= 1 else {
      warnings.append(
        "several tokenizers beside the checkpoint (\(candidates.joined(separator: ", "))):"
          + " none taken, name one")
      return nil
    }
    return candidates.first.map { .llama2c(folder.appending($0)) }
  }
}
