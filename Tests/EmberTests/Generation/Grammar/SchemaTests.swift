import EmberGeneration
import EmberModel
import EmberTokenizer
import Foundation
import Testing

struct SchemaTests {
  static let schemas = [
    #"""
    {"type": "object", "title": "a person", "properties": {
      "name": {"type": "string", "minLength": 1, "maxLength": 8},
      "age": {"type": "integer"}, "tall": {"type": "boolean"}, "\"é\\": {"type": "null"}},
      "required": ["age", "name"]}
    """#,
    #"{"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 4}"#,
    #"{"enum": ["red", 1, 2.5, null, true, {"a": [1, "x"]}, "\n\"é\u0001"]}"#,
    #"{"type": "string", "enum": ["yes", "no", 3]}"#,
    #"{"const": {"b": 1, "a": []}}"#,
    #"{"anyOf": [{"type": "string", "maxLength": 3}, {"type": "integer"}, {"type": ["null", "boolean"]}]}"#,
    #"""
    {"oneOf": [
      {"type": "object", "properties": {"kind": {"const": "a"}, "x": {"type": "integer"}},
       "required": ["kind"]},
      {"type": "object", "properties": {"kind": {"const": "b"}, "y": {"type": "null"}},
       "required": ["kind", "y"]}, {"type": "null"}]}
    """#,
    #"""
    {"$defs": {"tree": {"type": "object", "properties": {
      "value": {"type": "integer"},
      "children": {"type": "array", "maxItems": 2, "items": {"$ref": "#/$defs/tree"}}},
      "required": ["value"]}}, "$ref": "#/$defs/tree"}
    """#,
    #"{"type": "string", "pattern": "^[A-Z]{2}-\\d{3,4}(x|\\\\|é)?$"}"#,
    #"{"type": "string", "pattern": "^(?:a|b\"c)+$|^[^\\x20-\\uFFFF]$"}"#,
    #"""
    {"type": "object", "properties": {"ab": {"type": "integer"}, "abc": {"type": "null"}},
     "additionalProperties": {"type": "boolean"}, "required": ["abc"]}
    """#,
    #"{"type": "object", "required": ["q"], "properties": {"p": {"const": 1}}}"#,
    #"{"type": "object", "properties": {}, "additionalProperties": false}"#,
    #"{"type": "array", "items": false}"#,
    #"{"properties": {"list": {"items": {"type": "boolean"}, "maxItems": 3}}, "required": ["list"]}"#,
    #"{"type": "string", "minLength": 2, "maxLength": 2}"#,
  ]

  @Test("random weights under any seed write JSON that satisfies the schema", arguments: schemas)
  func generated(schema: String) throws {
    let folder = try TemporaryFolder()
    let grammar = try Grammar(jsonSchema: schema)
    let validator = try SchemaValidator(schema)
    var complete = 0
    for weights in 0..<3 as Range<UInt64> {
      let model = try TinyModel.make(
        .random(seed: weights), in: folder, named: "\(weights)", contextLength: 400)
      let generator = TextGenerator(
        model: model, tokenizer: try Tokenizer(serialized: model.file.tokenizer),
        session: try InferenceSession(model: model, threads: 1))
      for seed in 0..<16 as Range<UInt64> {
        var options = TextGenerator.Options(sampling: .plain, seed: seed)
        options.grammar = grammar
        options.sampling.temperature = [0.5, 1, 3][Int(seed % 3)]
        let result = try generator.generate(prompt: "ab", options: options) { _ in }
        if result.stopReason == .contextFull { continue }
        complete += 1
        #expect(try validator.accepts(result.text), "\(result.text)")
        #expect(try grammar.accepts(result.text))
      }
    }
    #expect(complete >= 16, "\(complete)")
  }

  @Test("texts that satisfy a schema or not")
  func examples() throws {
    func expect(_ schema: String, _ yes: [String], _ no: [String]) throws {
      let grammar = try Grammar(jsonSchema: schema)
      for text in yes { #expect(try grammar.accepts(text), "\(schema): \(text)") }
      for text in no { #expect(try !grammar.accepts(text), "\(schema): \(text)") }
    }
    try expect(
      Self.schemas[0],
      [#"{"name": "Ann", "age": 3}"#, #"{"name":"é😀","age":-12,"tall": true,"\"é\\":null}"#],
      [#"{"age": 3}"#, #"{"name": "", "age": 3}"#, #"{"age": 3, "name": "Ann"}"#, "{}", ""])
    try expect("true", ["1", #"{"a": [null, {}, -0.5e+10]}"#, "\"\""], ["01", "[1,]", "nul"])
    try expect(#"{"type": "integer"}"#, ["0", "-7", "123456789012345"], ["1.0", "00", "-", "+1"])
    try expect(
      Self.schemas[10],
      [#"{"abc":null}"#, #"{"ab": 1, "abc": null, "a": true, "abcd": false, "":true}"#],
      [#"{"abc": null, "ab": true}"#, #"{"abc": null, "abc": true}"#])
  }

  static let refused: [(schema: String, problem: String)] = [
    ("{", "no JSON"), ("3", "expected a schema"), ("false", "expected a schema"),
    (##"{"type": "text"}"##, "found text"), (##"{"type": []}"##, "found none"),
    (##"{"type": "integer", "minimum": 3}"##, "minimum is not supported for integer"),
    (##"{"type": "string", "format": "date"}"##, "format is not supported"),
    (##"{"allOf": [{}]}"##, "allOf is not supported"), (##"{"not": {}}"##, "not is not supported"),
    (##"{"type": "array", "uniqueItems": true}"##, "uniqueItems"),
    (##"{"type": "array", "prefixItems": []}"##, "prefixItems"),
    (##"{"type": "object", "patternProperties": {}}"##, "patternProperties"),
    (##"{"type": "object", "minProperties": 1}"##, "minProperties"),
    (##"{"$ref": "http://x/y"}"##, "into this schema"),
    (##"{"$ref": "#/$defs/x"}"##, "there is no"),
    (##"{"$ref": "#", "type": "null"}"##, "beside $ref"),
    (##"{"$ref": "#"}"##, "ever ends"),
    (##"{"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}"##, "ever ends"),
    (##"{"oneOf": [{"type": "integer"}, {"type": "number"}]}"##, "may both hold"),
    (##"{"oneOf": [{"type": "object"}, {"type": "object"}]}"##, "may both hold"),
    (##"{"enum": []}"##, "found none"), (##"{"enum": [1], "type": "string"}"##, "found none"),
    (##"{"type": "string", "minLength": 3, "maxLength": 2}"##, "less than"),
    (##"{"type": "string", "maxLength": -1}"##, "0 or more"),
    (##"{"type": "string", "maxLength": 99999999}"##, "parts"),
    (##"{"type": "string", "pattern": "^a(?=b)$"}"##, "(?"),
    (##"{"type": "string", "pattern": "a\\b"}"##, "\\b"),
    (##"{"type": "string", "pattern": "(a"}"##, "without its )"),
    (##"{"type": "string", "pattern": "^a*?$"}"##, "behind a repetition"),
    (##"{"type": "string", "pattern": "^a$", "maxLength": 3}"##, "with minLength"),
    (
      ##"{"type": "object", "required": ["a"], "additionalProperties": false}"##,
      "not among the properties"
    ),
    (String(repeating: ##"{"items": "##, count: 1000), "no JSON"),
  ]

  @Test("what cannot be followed is refused, with its place", arguments: 0..<refused.count)
  func refusal(index: Int) {
    let (schema, problem) = Self.refused[index]
    let error = #expect(throws: GenerationError.self) { try Grammar(jsonSchema: schema) }
    #expect(error?.description.contains(problem) == true, "\(String(describing: error))")
    #expect(error?.description.contains("\n") == false)
  }
}
