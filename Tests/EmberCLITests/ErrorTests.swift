import Ember
import EmberTestSupport
import Foundation
import Testing

/// Every failure: one line, the documented status, nothing on standard output, nothing written.
@Suite("Errors")
struct ErrorTests {
  /// Commands that open a model file as their first deed.
  private static let opening: [[String]] = [
    ["run", "MODEL", "--prompt", "the"],
    ["run", "MODEL", "--prompts", "text.txt"], ["perplexity", "MODEL", "--text", "text.txt"],
    ["compare", "MODEL", "MODEL", "--text", "text.txt"], ["inspect", "MODEL"],
    ["verify", "MODEL"], ["tokenize", "MODEL", "--text", "the"],
    ["logits", "MODEL", "--prompt", "the"], ["bench", "MODEL"],
  ]

  private func run(
    _ arguments: [String], model: String, in checkpoint: TinyCheckpoint
  ) async throws -> EmberProcess.Result {
    try await EmberProcess.run(
      arguments.map { $0 == "MODEL" ? model : $0 }, in: checkpoint.folder)
  }

  @Test("A model file that is missing, a folder, empty or something else", arguments: opening)
  func notAModel(_ arguments: [String]) async throws {
    let checkpoint = try TinyCheckpoint()
    try checkpoint.write([UInt8](), to: "empty")
    try checkpoint.write("<!DOCTYPE html>" + String(repeating: " ", count: 200), to: "page")
    try checkpoint.write([UInt8](repeating: 0x5A, count: 10_000), to: "noise")
    for (model, status, words) in [
      ("missing.q4", 66, "no such file"), (".", 66, "folder"), ("empty", 65, "empty file"),
      ("page", 65, "web page"), ("noise", 65, "not an Ember model file"),
      ("model.bin", 65, "ember quantize"),
    ] {
      // It takes tokenizers' own files as well, and folders with one.
      if arguments[0] == "tokenize", [".", "model.bin"].contains(model) { continue }
      let result = try await run(arguments, model: model, in: checkpoint)
      #expect(result.isError(Int32(status)), "\(model): \(result)")
      #expect(result.error.contains(words), "\(result.error)")
      #expect(result.error.contains(model))
    }
  }

  @Test("A truncated model file, at many lengths")
  func truncated() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    let whole = try checkpoint.bytes(of: "model.q4")
    let lengths =
      [1, 7, 8, 63, 64, 255, 256, 4095, 4096, 4097] + (1..<8).map { whole.count * $0 / 8 }
      + [whole.count - 4096, whole.count - 1]
    for length in lengths {
      try checkpoint.write(Array(whole.prefix(length)), to: "short.q4")
      let result = try await checkpoint.ember("inspect", "short.q4")
      #expect(result.isError(65), "\(length) bytes: \(result)")
      #expect(result.error.contains("truncated"), "\(length) bytes: \(result.error)")
    }
  }

  @Test("verify names the tensor with a flipped bit, which other commands do not read for")
  func flippedBit() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    var bytes = try checkpoint.bytes(of: "model.q4")
    let file = try ModelFile(opening: FilePath(checkpoint.path("model.q4")))
    let tensor = try #require(file.tensors.first { $0.name == "layers.1.feed_forward.up.weight" })
    bytes[tensor.offset + tensor.byteCount / 2] ^= 0x10
    try checkpoint.write(bytes, to: "flipped.q4")
    let result = try await checkpoint.ember("verify", "flipped.q4")
    #expect(result.isError(65), "\(result)")
    #expect(result.error.contains("layers.1.feed_forward.up.weight"))
    let good = try await checkpoint.ember("verify", "model.q4")
    #expect(good.status == 0 && good.output.hasPrefix("model.q4: good: "), "\(good)")
  }

  @Test("A version of the file that is not known names both versions")
  func unknownVersion() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    var bytes = try checkpoint.bytes(of: "model.q4")
    // Behind the magic; see formats/model-file.md.
    bytes[8] = 9
    try checkpoint.write(bytes, to: "newer.q4")
    let result = try await checkpoint.ember("inspect", "newer.q4")
    #expect(result.isError(69), "\(result)")
    #expect(result.error.contains("version 9") && result.error.contains("version 1"))
  }

  @Test("A truncated checkpoint writes nothing", arguments: [0, 1, 27, 28, 1000, -4, -1])
  func truncatedCheckpoint(_ length: Int) async throws {
    let checkpoint = try TinyCheckpoint()
    let whole = try checkpoint.bytes(of: "model.bin")
    try checkpoint.write(
      length < 0 ? whole.dropLast(-length) : Array(whole.prefix(length)), to: "model.bin")
    let before = try checkpoint.files
    let result = try await checkpoint.ember("quantize", "model.bin")
    #expect(result.isError(65), "\(result)")
    #expect(try checkpoint.files == before)
  }

  @Test("A weight that is not a number is named")
  func notANumber() async throws {
    let checkpoint = try TinyCheckpoint()
    var bytes = try checkpoint.bytes(of: "model.bin")
    // Row 3, column 5 of the embedding.
    let offset = 28 + 4 * (3 * 64 + 5)
    bytes.replaceSubrange(offset..<offset + 4, with: [0, 0, 0xC0, 0x7F])
    try checkpoint.write(bytes, to: "model.bin")
    let before = try checkpoint.files
    let result = try await checkpoint.ember("quantize", "model.bin")
    #expect(result.isError(65), "\(result)")
    #expect(result.error.contains("row 3") && result.error.contains("column 5"))
    #expect(try checkpoint.files == before)
  }

  @Test("A Hugging Face folder of an unknown architecture, or without a tensor")
  func huggingFace() async throws {
    let checkpoint = try TinyCheckpoint()
    func write(architecture: String) throws {
      try checkpoint.write(
        """
        {"architectures": ["\(architecture)"], "hidden_size": 16, "intermediate_size": 24,
         "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2,
         "vocab_size": 20, "max_position_embeddings": 32, "rms_norm_eps": 1e-5,
         "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": true}
        """, to: "config.json")
    }
    // A safetensors file without tensors: the length of its header, and "{}" padded with spaces.
    try checkpoint.write(
      [8, 0, 0, 0, 0, 0, 0, 0] + Array("{}      ".utf8), to: "model.safetensors")
    try write(architecture: "MysteryForCausalLM")
    let unknown = try await checkpoint.ember("quantize", ".", "-o", "out.q4")
    #expect(unknown.isError(69), "\(unknown)")
    #expect(
      unknown.error.contains("MysteryForCausalLM") && unknown.error.contains("LlamaForCausalLM"))
    try write(architecture: "LlamaForCausalLM")
    let missing = try await checkpoint.ember("quantize", ".", "-o", "out.q4")
    #expect(missing.isError(65), "\(missing)")
    #expect(missing.error.contains("tensor"))
    #expect(!checkpoint.exists("out.q4"))
  }

  @Test("Inputs that quantize cannot find, and outputs that it cannot write")
  func quantizePaths() async throws {
    let checkpoint = try TinyCheckpoint()
    try FileManager.default.createDirectory(
      at: checkpoint.folder.appending(path: "folder"), withIntermediateDirectories: false)
    try FileManager.default.copyItem(
      atPath: checkpoint.path("model.bin"), toPath: checkpoint.path("folder/model.bin"))
    let before = try checkpoint.files
    for (arguments, status, words) in [
      (["missing.bin"], 66, "missing.bin"),
      (["folder"], 66, "config.json"),
      (["folder/model.bin"], 66, "--tokenizer"),
      (["model.bin", "--tokenizer", "missing"], 66, "missing"),
      (["model.bin", "-o", "nowhere/model.q4"], 73, "nowhere"),
      (["model.bin", "-o", "folder"], 73, "folder"),
      (["model.bin", "-o", "folder/"], 73, "folder"),
      (["model.bin", "-o", "new/"], 73, "new"),
      (["model.bin", "-o", "/dev/null"], 73, "device"),
      (["model.bin", "-o", "model.bin"], 73, "-o"),
      (["model.bin", "-o", "tokenizer.bin"], 73, "-o"),
    ] {
      let result = try await EmberProcess.run(["quantize"] + arguments, in: checkpoint.folder)
      #expect(result.isError(Int32(status)), "\(arguments): \(result)")
      #expect(result.error.contains(words), "\(result.error)")
    }
    #expect(try checkpoint.files == before)
  }

  @Test(
    "Option values that make no sense",
    arguments: [
      ["run", "m", "--threads", "0"], ["run", "m", "--threads", "1025"],
      ["run", "m", "--threads", "-1"], ["run", "m", "-n", "-1"], ["run", "m", "--context", "0"],
      ["run", "m", "--temperature", "-1"], ["run", "m", "--temperature", "nan"],
      ["run", "m", "--top-p", "0"], ["run", "m", "--top-p", "1.5"], ["run", "m", "--top-k", "-1"],
      ["run", "m", "--min-p", "2"], ["run", "m", "--repetition-penalty", "0"],
      ["run", "m", "--seed", "-1"], ["run", "m", "--seed", "x"], ["run", "m", "--stop", ""],
      ["run", "m", "--prompt", "x", "--prompt-file", "y"], ["run", "m", "--nonsense"], ["run"],
      ["run", "m", "--max-tokens", "99999999999999999999"], ["nonsense"],
      ["run", "m", "--parallel", "2"], ["run", "m", "--output", "o"],
      ["run", "m", "--prompts", "p", "--parallel", "0"],
      ["run", "m", "--prompts", "p", "--parallel", "257"],
      ["run", "m", "--prompts", "p", "--prompt", "x"],
      ["run", "m", "--prompts", "p", "--prompt-file", "x"],
      ["run", "m", "--prompts", "p", "--echo"], ["run", "m", "--prompts", "p", "--json"],
      ["run", "m", "--prompts", ""],
      ["quantize", "m", "--bits", "7"], ["quantize", "m", "--table-bits", "3"],
      ["quantize", "m", "--recipe", "finest"], ["quantize", "m", "--tensor-type", "head"],
      ["quantize", "m", "--tensor-type", "=q4"], ["quantize", "m", "--tensor-type", "*=q7"],
      ["quantize", "m", "--tensor-type", "*=f32"], ["quantize", "m", "--tensor-type", "*="],
      ["quantize", "m", "--tensor-type", ""], ["quantize", "m", "--calibrate"],
      ["quantize", "m", "--calibrate", "t", "--statistics", "s"],
      ["bench", "--synthetic", "tiny", "--table-bits", "7"],
      ["quantize", "m", "--outliers", "-1"], ["quantize", "m", "--outliers", "11"],
      ["quantize", "m", "--outliers", "nan"], ["quantize", "m", "--threads", "0"], ["quantize"],
      ["perplexity", "m"], ["perplexity", "m", "--text", "t", "--context", "2"],
      ["perplexity", "m", "--text", "t", "--stride", "0"],
      ["perplexity", "m", "--text", "t", "--context", "8", "--stride", "9"],
      ["perplexity", "m", "--text", "t", "--windows", "0"],
      ["perplexity", "m", "--text", "t", "--preset", "other"], ["compare", "m", "--text", "t"],
      ["tokenize", "m", "--text", "a", "--file", "b"], ["logits", "m"],
      ["logits", "m", "--tokens", "1,,2"], ["logits", "m", "--tokens", "-1"],
      ["logits", "m", "--tokens", "99999999999"],
      ["logits", "m", "--tokens", "1", "--prompt", "x"],
      ["logits", "m", "--tokens", "1", "--top", "-1"], ["bench"], ["bench", "m", "--kernels"],
      ["bench", "m", "--synthetic", "tiny"], ["bench", "--synthetic", "13B"],
      ["bench", "--synthetic", "64x1"], ["bench", "m", "--bits", "4"],
      ["bench", "m", "--keep", "f"], ["bench", "--synthetic", "tiny", "--bits", "3"],
      ["bench", "--synthetic", "tiny", "--outliers", "11"], ["bench", "m", "--threads", "1,0"],
      ["bench", "m", "--threads", "1,"], ["bench", "m", "--repetitions", "0"],
      ["bench", "m", "--prompt-tokens", "-1"], ["bench", "m", "--generate", "-1"],
      ["bench", "m", "--format", "xml"], ["bench", "--kernels", "--depth", "1"],
      ["bench", "m", "--parallel", "0"], ["bench", "--kernels", "--parallel", "2"],
    ])
  func options(_ arguments: [String]) async throws {
    let result = try await EmberProcess.run(
      arguments, in: FileManager.default.temporaryDirectory)
    #expect(result.isError(64), "\(result)")
    #expect(result.error.contains("--help"))
  }

  @Test(
    "Option values of the wrong kind say what is expected",
    arguments: [
      (["run", "m", "-n", "-1"], "expected 0 or more, found -1"),
      (["run", "m", "--threads", "-1"], "expected 1 to 1024, found -1"),
      (["run", "m", "--seed", "-1"], "18446744073709551615, found -1"),
      (["run", "m", "--seed", "1e3"], "found 1e3"),
      (["run", "m", "-n", "99999999999999999999"], "expected a whole number"),
      (["run", "m", "--stop", ""], "found an empty"), (["run", "m", "--stop="], "empty"),
      (["quantize", "m", "--outliers", "5%"], "0 to 10"),
      (["quantize", "m", "--tensor-type", "*=q3"], "found *=q3"),
      (["quantize", "m", "--recipe", "finest"], "balanced"),
      (["logits", "m", "--tokens", ""], "expected ids"),
    ])
  func values(_ arguments: [String], _ words: String) async throws {
    let result = try await EmberProcess.run(
      arguments, in: FileManager.default.temporaryDirectory)
    #expect(result.isError(64) && result.error.contains(words), "\(result)")
  }

  /// Runs a line of the shell, where E is ember; what it prints on either output.
  private func shell(_ line: String, in folder: URL) throws -> (status: Int32, text: String) {
    let process = Process()
    process.executableURL = URL(filePath: "/bin/bash")
    process.arguments = ["-c", "E='\(try EmberProcess.binary().path)'; " + line]
    process.currentDirectoryURL = folder
    let pipe = Pipe()
    (process.standardOutput, process.standardError) = (pipe, pipe)
    try process.run()
    let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, text)
  }

  @Test("Descriptors that are closed, and arguments that are not UTF-8")
  func shellOnly() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    for (line, status, words) in [
      (#""$E" tokenize model.q4 --ids-only <&-"#, 0, "\n"),
      (#""$E" tokenize model.q4 --text the >&-"#, 74, "standard output"),
      (#""$E" tokenize model.q4 --text the 2>&-"#, 0, "tokens"),
      (#""$E" tokenize model.q4 --text $'the \xff'"#, 64, "argument 4: not UTF-8 at byte 4"),
      (#"echo the | "$E" run model.q4 -n 0 --prompt-file -"#, 0, "– tokens/s"),
      (#""$E" quantize model.q4"#, 69, "already"),
    ] {
      let result = try shell(line, in: checkpoint.folder)
      #expect(result.status == Int32(status) && result.text.contains(words), "\(line): \(result)")
    }
  }

  @Test("Values that only the model can refuse")
  func modelRefuses() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    let long = String(repeating: "z", count: 300)
    try checkpoint.write("t", to: "short.txt")
    try checkpoint.write(long, to: "long.txt")
    for (arguments, status, words) in [
      (["run", "model.q4", "--prompt", "the", "--context", "257"], 64, "256"),
      (["run", "model.q4", "--prompt", long], 65, "256"),
      (["run", "model.q4", "--prompt", "the the the the", "--context", "4"], 65, "4"),
      (["logits", "model.q4", "--prompt", long], 65, "256"),
      (["bench", "model.q4", "--context", "257"], 64, "256"),
      (["bench", "model.q4", "--depth", "200", "--generate", "57"], 64, "--depth"),
      (["logits", "model.q4", "--tokens", "270"], 64, "269"),
      (["perplexity", "model.q4", "--text", "short.txt"], 65, "tokens"),
      (["perplexity", "model.q4", "--text", "long.txt", "--context", "257"], 64, "256"),
      (["perplexity", "model.q4", "--text", "long.txt", "--stride", "257"], 64, "256"),
    ] {
      let result = try await EmberProcess.run(arguments, in: checkpoint.folder)
      #expect(result.isError(Int32(status)), "\(arguments): \(result)")
      #expect(result.error.contains(words), "\(result.error)")
    }
  }

  @Test("Texts that are missing, a folder or not UTF-8 name the place")
  func texts() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    // A lone continuation byte behind a character of two bytes.
    try checkpoint.write(Array("the ä".utf8) + [0x80] + Array("x".utf8), to: "bad.txt")
    try checkpoint.write(Array("the".utf8) + [0xE2, 0x82], to: "cut.txt")
    for option in [
      ["tokenize", "model.q4", "--file"], ["perplexity", "model.q4", "--text"],
      ["compare", "model.q4", "model.q4", "--text"], ["run", "model.q4", "--prompt-file"],
      ["quantize", "model.bin", "--calibrate"], ["run", "model.q4", "--prompts"],
    ] {
      for (file, status, words) in [
        ("missing.txt", 66, "no such file"), (".", 66, "folder"), ("bad.txt", 65, "byte 6"),
        ("cut.txt", 65, "byte 3"),
      ] {
        let result = try await EmberProcess.run(option + [file], in: checkpoint.folder)
        #expect(result.isError(Int32(status)), "\(option) \(file): \(result)")
        #expect(result.error.contains(words), "\(result.error)")
      }
    }
  }

  @Test("Control characters in a path cannot break the line")
  func controlCharacters() async throws {
    let checkpoint = try TinyCheckpoint()
    for arguments in [
      ["inspect", "a\nb\u{1B}[2J"], ["quantize", "a\nb\u{1B}[2J"], ["inspect", "x", "a\nb"],
    ] {
      let result = try await EmberProcess.run(arguments, in: checkpoint.folder)
      #expect(result.isError(result.status), "\(result)")
      #expect(!result.error.unicodeScalars.contains("\u{1B}"))
    }
  }
}
