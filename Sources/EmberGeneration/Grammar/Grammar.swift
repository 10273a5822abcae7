/// What a generated text must follow: a context-free grammar, or a JSON schema.
///
/// ```swift
/// let grammar = try Grammar(gbnf: #"root ::= ("yes" | "no") "."?"#)
/// var options = TextGenerator.Options(maximumTokens: 16)
/// options.grammar = grammar
/// ```
///
/// It is compiled once: to rules over bytes without names, whose alternatives can all come to an end.
/// A grammar may be recursive, but not left-recursive. `GrammarMatcher` follows a text through it.
public struct Grammar: Sendable {
  /// A part of an alternative.
  enum Element: Sendable {
    case byte(UInt8)
    /// A character, by the index of its automaton.
    case characters(Int32)
    case rule(Int32)
    /// Of an alternative.
    case end
  }

  /// The alternatives of all rules, one after another, each with an end.
  let elements: [Element]
  /// Where the alternatives of each rule begin.
  let rules: [[Int32]]
  let automata: [ByteAutomaton]
  /// Index of the rule that the whole text follows.
  let root: Int

  /// A grammar in GBNF, as llama.cpp has it: rules `name ::= …` with `root` for the whole text,
  /// "literals", [character classes], `.`, ( groups ), `|`, `*`, `+`, `?`, `{m,n}` and # comments.
  ///
  /// - Throws: `GenerationError.invalidGrammar`
  public init(gbnf text: String) throws(GenerationError) {
    var parser = GrammarParser(text)
    self = try GrammarCompiler.compile(try parser.rules(), root: "root")
  }

  /// The JSON texts of a schema (JSON Schema 2020-12, the part that `docs/decoding.md` lists).
  ///
  /// - Throws: `GenerationError.unsupportedSchema` for what cannot be followed; nothing is ignored
  ///   but annotations.
  public init(jsonSchema text: String) throws(GenerationError) {
    var compiler = try SchemaCompiler(text)
    self = try GrammarCompiler.compile(try compiler.rules(), root: "root")
  }

  init(elements: [Element], rules: [[Int32]], automata: [ByteAutomaton], root: Int) {
    self.elements = elements
    self.rules = rules
    self.automata = automata
    self.root = root
  }
}
