import Foundation

/// The tiny checkpoints of `tools/fixtures/make_architectures.py`, one for each architecture and for
/// each of its variants that is computed otherwise.
public struct ArchitectureCheckpoint: Sendable, CustomStringConvertible {
  /// Of the folder.
  public let name: String
  /// What people call the models.
  public let title: String

  public var description: String { name }

  /// All of them, in the order of the documentation.
  public static let all: [ArchitectureCheckpoint] = [
    .init(name: "llama", title: "Llama 1, 2, 3"),
    .init(name: "llama-3.1", title: "Llama 3.1: `llama3` scaling"),
    .init(name: "llama-3.2", title: "Llama 3.2: the same, tied head"),
    .init(name: "llama-linear", title: "Llama, `linear` scaling"),
    .init(name: "llama-dynamic", title: "Llama, `dynamic` NTK scaling"),
    .init(name: "llama-yarn", title: "Llama, `yarn` scaling"),
    .init(name: "llama-longrope", title: "Llama, `longrope` scaling"),
    .init(name: "mistral", title: "Mistral, window"),
    .init(name: "mistral-wide", title: "Mistral, window beyond the context"),
    .init(name: "qwen2", title: "Qwen2, Qwen2.5"),
    .init(name: "qwen2-window", title: "Qwen2, window in later layers"),
    .init(name: "qwen3", title: "Qwen3"),
    .init(name: "gemma", title: "Gemma"),
    .init(name: "gemma2", title: "Gemma 2"),
    .init(name: "gemma3", title: "Gemma 3, text"),
    .init(name: "phi3", title: "Phi-3, window"),
    .init(name: "phi3-longrope", title: "Phi-3.5, Phi-4-mini: `longrope`, partial rotary"),
    .init(name: "phi", title: "Phi-1, 1.5, 2"),
    .init(name: "gpt2", title: "GPT-2"),
    .init(name: "gpt-neox", title: "GPT-NeoX, Pythia"),
    .init(name: "gpt-neox-sequential", title: "GPT-NeoX, sequential residual"),
    .init(name: "gpt-j", title: "GPT-J"),
    .init(name: "opt", title: "OPT"),
    .init(name: "opt-post-norm", title: "OPT, norms behind the blocks"),
    .init(name: "bloom", title: "BLOOM"),
    .init(name: "stablelm", title: "StableLM"),
    .init(name: "stablelm-parallel", title: "StableLM, parallel residual"),
    .init(name: "starcoder2", title: "StarCoder2"),
  ]

  /// Where all of them are.
  public static let root = TestData.repository.appending(path: "Tests/fixtures/architectures")

  /// The fixture's own files.
  public var source: URL { Self.root.appending(path: name) }

  /// Makes a folder as people download them: configuration, weights, tokenizer.
  ///
  /// - Parameter weights: the fixture whose weights it has.
  public func write(to folder: URL, weights: String) throws {
    let manager = FileManager.default
    try manager.createDirectory(at: folder, withIntermediateDirectories: true)
    let files = [
      "config.json": source.appending(path: "config.json"),
      "model.safetensors": Self.root.appending(path: "\(weights)/model.safetensors"),
      "tokenizer.json": Self.root.appending(path: "tokenizer.json"),
    ]
    for (name, file) in files {
      try manager.copyItem(at: file, to: folder.appending(path: name))
    }
  }
}
