import EmberGeneration
import EmberModel
import EmberTokenizer
import Foundation
import Testing

struct GrammarTests {
  /// Grammars that are expressions too, over a few letters.
  static let regular: [(gbnf: String, expression: String)] = [
    (#"root ::= "a" ("b" | "ca")* [b-c]{1,2}"#, "a(b|ca)*[b-c]{1,2}"),
    (#"root ::= x+ y? # comment"# + "\nx ::= \"ab\" | \"a\"\ny ::= [^ab]", "(ab|a)+[^ab]?"),
    (#"root ::= ("a"? "b"?){2,3} "c""#, "(a?b?){2,3}c"),
    (#"root ::= ("a"*)* "b""#, "(a*)*b"),
    (#"root ::= .{0,3} "\x61" |"# + "\n  \"c\"{,2}", "[\\s\\S]{0,3}a|c{0,2}"),
    ("root ::= \"a\"\n  | \"b\" root\n", "b*a"),
    (#"root ::= (("a" | "b"){2}){2,} "#, "((a|b){2}){2,}"),
    (#"root ::= [é-ü€]+ "a"?"#, "[é-ü€]+a?"),
  ]

  @Test("grammars accept what the same expressions accept", arguments: 0..<regular.count)
  func expressions(index: Int) throws {
    let (gbnf, pattern) = Self.regular[index]
    let grammar = try Grammar(gbnf: gbnf)
    let expression = try NSRegularExpression(pattern: "^(?:\(pattern))$")
    var noise = SplitMix64(seed: UInt64(index))
    let letters = ["a", "b", "c", "é", "ô", "€", "😀"]
    var accepted = 0
    for _ in 0..<3000 {
      let count = Int(noise.next() % 7)
      let kinds = index == 7 ? UInt64(7) : 4
      let text = (0..<count).map { _ in letters[Int(noise.next() % kinds)] }.joined()
      let range = NSRange(location: 0, length: (text as NSString).length)
      let expected = expression.firstMatch(in: text, range: range) != nil
      #expect(try grammar.accepts(text) == expected, "\(gbnf): \(text)")
      if expected { accepted += 1 }
    }
    #expect(accepted > 10)
  }

  @Test("nested brackets, to any depth")
  func nested() throws {
    let grammar = try Grammar(gbnf: #"root ::= "(" root ")" | "[" root "]" | """#)
    #expect(try grammar.accepts(""))
    #expect(try grammar.accepts("([([])])"))
    #expect(try !grammar.accepts("([)]"))
    #expect(try !grammar.accepts("(("))
    let deep = 5000
    let text = String(repeating: "(", count: deep) + String(repeating: ")", count: deep)
    #expect(try grammar.accepts(text))
  }

  static let hostile: [(gbnf: String, problem: String)] = [
    ("", "no rule root"), ("x ::= \"a\"", "no rule root"), ("root ::= a", "no rule a"),
    (#"root ::= root "a" | "b""#, "begins with itself"),
    ("root ::= a \"x\"\na ::= b | \"\"\nb ::= root", "begins with itself"),
    (#"root ::= "x"? root "y""#, "ever ends"),
    (#"root ::= "x"? root "y" | "z""#, "begins with itself"),
    (#"root ::= "a" root"#, "ever ends"), ("root ::= root", "ever ends"),
    (#"root ::= ("a"{150000}){2}"#, "parts"), (#"root ::= "a"{0,50000}"#, "parts"),
    (#"root ::= "a"{0,99999999}"#, "repetitions"),
    (#"root ::= "a"{3,2}"#, "repetition of 3 to 2"), (#"root ::= "a"{"#, "expected a number"),
    (#"root ::= "a"#, "does not end"), ("root ::= [a", "does not end"),
    ("root ::= [z-a]", "ends before it begins"), ("root ::= (\"a\"", "expected )"),
    ("root ::= \"a\" )", "expected the end of the line"), (#"root ::= "\q""#, "unknown escape"),
    (#"root ::= "\uD800""#, "no character"), ("root = \"a\"", "expected ::="),
    ("root ::= \"a\"\nroot ::= \"b\"", "stands on line 1 already"),
    ("root ::= *", "expected a lit"),
    ("root ::= []", "without characters"), ("root ::= \"a\"********* ", "of repetitions"),
  ]

  @Test(
    "grammars that cannot be followed are refused with their line", arguments: 0..<hostile.count)
  func refused(index: Int) {
    let (gbnf, problem) = Self.hostile[index]
    let error = #expect(throws: GenerationError.self) { try Grammar(gbnf: gbnf) }
    #expect(error?.description.contains(problem) == true, "\(String(describing: error))")
    #expect(error?.description.hasPrefix("grammar, line ") == true)
    #expect(error?.description.contains("\n") == false)
  }

  @Test("deep nesting and ambiguity end in errors, not in a crash")
  func bounded() throws {
    let deep = String(repeating: "(", count: 100_000)
    #expect(throws: GenerationError.self) { try Grammar(gbnf: "root ::= " + deep) }
    #expect(throws: GenerationError.self) {
      try Grammar(gbnf: String(repeating: "# long\n", count: 400_000))
    }
    // A long chain of rules is no recursion of the compiler.
    let chain = (0..<20_000).map { "r\($0) ::= \"a\"? r\($0 + 1)" }.joined(separator: "\n")
    let grammar = try Grammar(gbnf: "root ::= r0\n" + chain + "\nr20000 ::= \"b\"")
    #expect(throws: GenerationError.self) { try grammar.accepts("aab") }
  }

  private static func generate(
    _ model: Model, _ grammar: Grammar, seed: UInt64, prompt: String = "ab", maximum: Int = 200,
    speculation: Bool = false
  ) throws -> TextGenerator.Result {
    var options = TextGenerator.Options(
      maximumTokens: maximum, sampling: .plain, seed: seed)
    options.grammar = grammar
    return try TextGenerator(
      model: model, tokenizer: try Tokenizer(serialized: model.file.tokenizer),
      session: try InferenceSession(model: model, threads: 1),
      speculation: speculation ? SpeculationTests.eager() : nil
    ).generate(prompt: prompt, options: options) { _ in }
  }

  @Test("random weights under any seed write what the grammar says", arguments: 0..<regular.count)
  func generated(index: Int) throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.random(seed: 5), in: folder, contextLength: 256)
    let grammar = try Grammar(gbnf: Self.regular[index].gbnf)
    var complete = 0
    for seed in 0..<40 as Range<UInt64> {
      let result = try Self.generate(
        model, grammar, seed: seed, prompt: seed % 2 == 0 ? "" : "ab")
      if result.stopReason == .maximumTokens { continue }
      complete += 1
      #expect([.grammarComplete, .endOfSequence].contains(result.stopReason))
      #expect(try grammar.accepts(result.text), "\(result.text)")
    }
    #expect(complete > 20)
  }

  @Test("characters of several bytes are spelled over tokens, and guesses change nothing")
  func splitCharacters() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.random(seed: 6), in: folder, contextLength: 256)
    let grammar = try Grammar(gbnf: #"root ::= ([😀-😅] | [€-₭] " ab")+ "end""#)
    for seed in 0..<20 as Range<UInt64> {
      let result = try Self.generate(model, grammar, seed: seed)
      #expect(result.stopReason == .grammarComplete || result.ids.count == 200)
      if result.stopReason == .grammarComplete { #expect(try grammar.accepts(result.text)) }
      #expect(!result.text.dropLast().contains("\u{FFFD}"))
      let guessed = try Self.generate(model, grammar, seed: seed, speculation: true)
      #expect(guessed.ids == result.ids && guessed.stopReason == result.stopReason)
    }
  }

  @Test("the end token comes only where the grammar may end; a stop token likewise")
  func ends() throws {
    let folder = try TemporaryFolder()
    // It wants to end at once, and after every token.
    let model = try TinyModel.make(.chain([1, 2]), in: folder)
    let grammar = try Grammar(gbnf: #"root ::= "a"{3,5}"#)
    for seed in 0..<10 as Range<UInt64> {
      let result = try Self.generate(model, grammar, seed: seed, prompt: "")
      #expect((3...5).contains(result.text.count))
    }
    var options = TextGenerator.Options(sampling: .plain, seed: 1)
    options.grammar = try Grammar(gbnf: #"root ::= "z" "x"* "y""#)
    options.stopTokens = TinyModel.bytes("xy")
    let generator = TextGenerator(
      model: model, tokenizer: try Tokenizer(serialized: model.file.tokenizer),
      session: try InferenceSession(model: model, threads: 1))
    #expect(throws: GenerationError.noTokenPossible(position: 2)) {
      try generator.generate(prompt: "", options: options) { _ in }
    }
  }

  @Test("texts side by side follow the grammar as one alone does")
  func parallel() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.random(seed: 5), in: folder, contextLength: 128)
    let grammar = try Grammar(gbnf: #"root ::= "[" ([0-9]+ | root) ("," root)? "]""#)
    var options = TextGenerator.Options(maximumTokens: 60, sampling: .plain, seed: 4)
    options.grammar = grammar
    let results = try ParallelGenerator(
      model: model, tokenizer: try Tokenizer(serialized: model.file.tokenizer),
      session: try ParallelSession(model: model, sequences: 6, threads: 1)
    ).samples(prompt: "ab", count: 6, options: options)
    for result in results {
      let text = try result.text.get()
      let alone = try Self.generate(model, grammar, seed: result.seed, maximum: 60)
      #expect(text.ids == alone.ids && text.stopReason == alone.stopReason)
    }
  }
}
