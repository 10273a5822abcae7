import EmberModel
import Foundation
import SystemPackage

/// Opens a checkpoint of whichever kind a path leads to.
///
/// | path | read as |
/// | --- | --- |
/// | a folder with `config.json` | Hugging Face: safetensors, or else `pytorch_model.bin` |
/// | a file of these beside a `config.json` | the same, with these weights |
/// | a file that begins with `GGUF` | GGUF of version 2 or 3: model and tokenizer |
/// | any other file | llama2.c version 0, 1 or 2, if its header is plausible |
///
/// What each may hold is described in docs/checkpoints.md.
public enum CheckpointReader {
  /// Opens a checkpoint; reads headers and configuration only, a few kilobytes for most models.
  ///
  /// - Parameters:
  ///   - path: of a file or folder.
  ///   - tokenizer: of the tokenizer's file, if not the one beside the checkpoint: a name that
  ///     ends in `.json` is a Hugging Face tokenizer, any other a llama2.c `tokenizer.bin`.
  /// - Throws: `CheckpointError`: one line says what is wrong and what to do.
  public static func open(
    _ path: FilePath, tokenizer: FilePath? = nil
  ) throws(CheckpointError) -> Checkpoint {
    let checkpoint = try openAny(path, tokenizer: tokenizer)
    // What a model file could not hold, a conversion must not begin with.
    if let problem = checkpoint.architecture.inconsistency {
      throw .invalidValue(
        path: path, key: "architecture", expected: "a model that can be run", found: problem)
    }
    return checkpoint
  }

  private static func openAny(
    _ path: FilePath, tokenizer: FilePath?
  ) throws(CheckpointError) -> Checkpoint {
    let named = try tokenizer.map(tokenizerSource)
    let name = lastComponent(of: path)
    switch PathKind(of: path) {
    case .folder:
      guard PathKind(of: path.appending(HuggingFaceReader.configurationName)) != .nothing else {
        throw .noConfiguration(folder: path)
      }
      return try HuggingFaceReader.open(
        folder: path, weightsFile: nil, name: name, tokenizer: named)
    case .file where path.extension == "safetensors":
      return try openBesideConfiguration(path, name: name, tokenizer: named)
    case .file:
      let file = try CheckpointFile(opening: path)
      let start = try file.bytes(in: 0..<min(file.size, 4))
      if start == GGUFFile.magic {
        return try GGUFReader.open(path, name: name, tokenizer: named)
      }
      if TorchWeights.matches(start) {
        return try openBesideConfiguration(path, name: name, tokenizer: named)
      }
      return try Llama2CReader.open(path, name: name, tokenizer: named)
    case .other, .nothing:
      return try Llama2CReader.open(path, name: name, tokenizer: named)
    }
  }

  /// Opens a file of tensors whose meaning `config.json` in its folder tells.
  private static func openBesideConfiguration(
    _ path: FilePath, name: String, tokenizer: TokenizerSource?
  ) throws(CheckpointError) -> Checkpoint {
    let folder = path.removingLastComponent()
    // A bare file name leaves an empty path, which means the current folder.
    let parent = folder.isEmpty ? FilePath(".") : folder
    guard PathKind(of: parent.appending(HuggingFaceReader.configurationName)) != .nothing else {
      throw .noConfiguration(folder: parent)
    }
    return try HuggingFaceReader.open(
      folder: parent, weightsFile: path, name: name, tokenizer: tokenizer)
  }

  /// The kind of a tokenizer that the user named.
  private static func tokenizerSource(
    _ path: FilePath
  ) throws(CheckpointError) -> TokenizerSource {
    _ = try CheckpointFile(opening: path)
    return switch path.extension?.lowercased() {
    case "json": .huggingFace(path)
    case "model", "spm": .other(path)
    default: .llama2c(path)
    }
  }

  /// The last component of a path, also where it is `.` or ends in `..`.
  private static func lastComponent(of path: FilePath) -> String {
    if let component = path.lastComponent, component.kind == .regular { return component.string }
    return URL(filePath: path.string).standardizedFileURL.lastPathComponent
  }
}
