/// What `tokenizer.ggml.pre` names: the steps before byte-level BPE (llama.cpp, src/llama-vocab.cpp).
/// Files carry no expressions, so the names' meanings are listed here.
enum GGUFPreTokenizers {
  struct Rules {
    var steps: [TokenizerStep]
    var ignoresMerges = false
    /// Where the file does not say whether the beginning of the sequence stands before a text.
    var addsBegin = false
  }

  static var names: [String] { table.keys.sorted() }

  /// - Returns: nil for a name that is not known.
  static func rules(_ name: String) -> Rules? { table[name] }

  private static let digits = TokenizerStep.split(expression: #"\p{N}"#)
  private static let gpt2 = TokenizerStep(kind: .gpt2Words)
  private static let llama3 = TokenizerStep(kind: .llama3Words, flags: 3)
  private static let qwen2 = TokenizerStep(kind: .llama3Words, flags: 1)
  private static let falcon = [
    TokenizerStep.split(expression: #"[\p{P}\$\+<=>\^~\|`]+"#), gpt2,
    .split(expression: "[0-9][0-9][0-9]"),
  ]
  private static let han = TokenizerStep.split(expression: "[一-龥ࠀ-一가-퟿]+")
  private static let deepSeekCoder = [
    TokenizerStep.split(expression: #"[\r\n]"#), .split(expression: #"\s?\p{L}+"#),
    .split(expression: #"\s?\p{P}+"#), han, digits,
  ]
  private static let deepSeek3 = [
    TokenizerStep.split(expression: #"\p{N}{1,3}"#), .split(expression: "[一-龥぀-ゟ゠-ヿ]+"),
    .split(
      expression: ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"##
        + #"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"#
        + #"|\s*[\r\n]+|\s+(?!\S)|\s+"#),
  ]
  private static let plain = [
    TokenizerStep.split(expression: #"[\p{P}\$\+<=>\^~\|]+"#), gpt2,
    .split(expression: #"\p{N}+"#), .split(expression: "[0-9][0-9][0-9]"),
  ]
  private static let o200k = KnownExpressions.step(KnownExpressions.o200k)
  private static let tekken = TokenizerStep.split(
    expression: #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"#
      + #"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"#
      + #"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#)
  private static let bloom = TokenizerStep.split(
    expression: #" ?[^(\s|.,!?…。，、।۔،)]+"#)

  private static let table: [String: Rules] = {
    var table: [String: Rules] = [:]
    func add(_ rules: Rules, _ names: String...) { for name in names { table[name] = rules } }
    add(
      Rules(steps: [llama3], ignoresMerges: true, addsBegin: true), "llama3", "llama-v3",
      "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2")
    add(Rules(steps: [llama3]), "dbrx", "smaug-bpe", "glm4", "chatglm-bpe")
    add(
      Rules(steps: [gpt2]), "gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es",
      "jina-v2-de", "jina-v1-en", "mpt", "olmo", "jais", "gpt-neox", "roberta-bpe", "a.x-4.0",
      "mellum", "modern-bert", "exaone4")
    add(
      Rules(steps: [qwen2]), "qwen2", "stablelm2", "deepseek-r1-qwen", "hunyuan", "megrez", "kormo")
    add(Rules(steps: falcon), "falcon")
    add(
      Rules(steps: [digits, gpt2]), "starcoder", "refact", "command-r", "smollm", "codeshell",
      "exaone", "minerva-7b")
    add(Rules(steps: deepSeekCoder), "deepseek-coder")
    add(Rules(steps: deepSeek3), "deepseek-v3", "deepseek-r1-0528", "hunyuan-dense")
    add(Rules(steps: [bloom]), "bloom", "poro-chat", "gpt3-finnish")
    add(Rules(steps: [bloom, digits]), "viking")
    add(Rules(steps: [o200k]), "gpt-4o", "llama4", "kanana2")
    add(Rules(steps: [tekken], ignoresMerges: true, addsBegin: true), "tekken")
    add(Rules(steps: plain), "default")
    return table
  }()
}
