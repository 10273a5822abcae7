/// A model's chat template: how a conversation becomes the text that the model was trained to answer.
///
/// ```swift
/// let template = try ChatTemplate(source)
/// let chat = try template.render(
///   [ChatMessage(role: "user", content: "Hello")],
///   beginOfSequence: "<s>", endOfSequence: "</s>")
/// let ids = tokenizer.encode(chat)
/// ```
///
/// Templates are written in Jinja, of which this knows what real ones use: the tags `if`, `for`,
/// `set`, `macro`, `with`, `filter`, `generation`, `break`, `continue` and `raw`, expressions,
/// filters, tests, and methods of texts, lists and dictionaries, all with Python's semantics, in the
/// environment that Hugging Face's transformers renders in. What it does not know it refuses by name.
/// A template can reach nothing outside the conversation, and is stopped when it takes more steps,
/// memory or depth than a real one.
///
/// Complexity: linear in the conversation for real templates.
public struct ChatTemplate: Sendable {
  /// As it was given.
  public let source: String
  private let statements: [TemplateStatement]

  /// - Throws: `ChatTemplateError.syntax`, `.unsupported`, `.limit`
  public init(_ source: String) throws(ChatTemplateError) {
    self.source = source
    statements = try TemplateParser.parse(source)
  }

  /// The text of a conversation.
  ///
  /// - Parameters:
  ///   - messages: from the first to the last.
  ///   - addingGenerationPrompt: whether the text ends with the beginning of the model's answer.
  ///   - beginOfSequence: the name of that token, or an empty text.
  ///   - endOfSequence: the name of that token, or an empty text.
  ///   - tools: a list of tool descriptions in JSON, for templates that know tools.
  ///   - variables: an object in JSON with further variables of the template, such as
  ///     `{"enable_thinking": false}`.
  /// - Throws: `ChatTemplateError`
  public func render(
    _ messages: [ChatMessage], addingGenerationPrompt: Bool = true, beginOfSequence: String,
    endOfSequence: String, tools: String? = nil, variables: String? = nil
  ) throws(ChatTemplateError) -> RenderedChat {
    var values = try Self.object(variables ?? "{}", name: "the template's variables")
    for message in messages { try Self.check(role: message.role) }
    values["messages"] = try Self.checked("messages") { () throws(TemplateFailure) in
      var list: [TemplateValue] = []
      for message in messages {
        list.append(
          .dictionary(
            try TemplateDictionary([
              ("role", .text(message.role)),
              ("content", .text(TemplateText(message.content, isContent: true))),
            ])))
      }
      return try .list(list)
    }
    if let tools {
      let list = try Self.parse(tools, name: "the tools")
      guard case .array = list else {
        throw .invalidInput(name: "the tools", expected: "a list in JSON", found: list.summary)
      }
      values["tools"] = try Self.value(list, name: "the tools")
    }
    values["add_generation_prompt"] = .bool(addingGenerationPrompt)
    values["bos_token"] = .text(beginOfSequence)
    values["eos_token"] = .text(endOfSequence)
    return try render(values, clock: TemplateClock())
  }

  /// The same with all variables in one JSON object, for tests.
  package func render(
    json: String, clock: TemplateClock = TemplateClock()
  ) throws(ChatTemplateError) -> RenderedChat {
    var values = try Self.object(json, name: "the variables")
    for name in ["bos_token", "eos_token"] {
      if case .text(let text) = values[name] { values[name] = .text(text.string) }
    }
    return try render(values, clock: clock)
  }

  private func render(
    _ values: [String: TemplateValue], clock: TemplateClock
  ) throws(ChatTemplateError) -> RenderedChat {
    var values = values
    // transformers hands these over even where there are none.
    for name in ["tools", "documents"] where values[name] == nil { values[name] = .null }
    let interpreter = TemplateInterpreter(values, clock: clock)
    return RenderedChat(try interpreter.run(statements))
  }

  /// A role is written by the program, not by those who talk: templates put it into the names of
  /// control tokens, so it must not be able to hold one.
  private static func check(role: String) throws(ChatTemplateError) {
    let isName = role.unicodeScalars.allSatisfy {
      $0.isASCII && ($0.properties.isAlphabetic || $0 == "_" || $0 == "-" || $0.isASCIIDigit)
    }
    if role.isEmpty || !isName {
      throw .invalidInput(name: "a role", expected: "a name such as user", found: role)
    }
  }

  // MARK: JSON

  private static func object(
    _ json: String, name: String
  ) throws(ChatTemplateError) -> [String: TemplateValue] {
    let parsed = try parse(json, name: name)
    guard case .object(let members) = parsed else {
      throw .invalidInput(name: name, expected: "an object in JSON", found: parsed.summary)
    }
    var values: [String: TemplateValue] = [:]
    for member in members { values[member.key] = try value(member.value, name: name) }
    return values
  }

  private static func parse(_ json: String, name: String) throws(ChatTemplateError) -> JSONValue {
    do throws(TokenizerError) {
      return try JSONParser.parse(Array(json.utf8), path: name)
    } catch {
      throw .invalidInput(name: name, expected: "JSON", found: "\(error)")
    }
  }

  private static func value(
    _ json: JSONValue, name: String
  ) throws(ChatTemplateError) -> TemplateValue {
    try checked(name) { () throws(TemplateFailure) in try TemplateValue(json) }
  }

  private static func checked<Result>(
    _ name: String, _ body: () throws(TemplateFailure) -> Result
  ) throws(ChatTemplateError) -> Result {
    do throws(TemplateFailure) {
      return try body()
    } catch {
      guard case .limit(let what) = error else {
        throw .invalidInput(name: name, expected: "JSON", found: "\(error)")
      }
      throw .limit(line: 1, what: "\(name): \(what)")
    }
  }
}

extension Unicode.Scalar {
  fileprivate var isASCIIDigit: Bool { value >= 0x30 && value <= 0x39 }
}

extension TemplateValue {
  /// All texts of it are content.
  fileprivate init(_ json: JSONValue) throws(TemplateFailure) {
    switch json {
    case .null: self = .null
    case .bool(let value): self = .bool(value)
    case .integer(let value): self = .integer(value)
    case .number(let value): self = .number(value)
    case .string(let text): self = .text(TemplateText(text, isContent: true))
    case .array(let elements):
      var items: [TemplateValue] = []
      for element in elements { items.append(try TemplateValue(element)) }
      self = try .list(items)
    case .object(let members):
      var dictionary = TemplateDictionary()
      for member in members {
        try dictionary.set(
          .text(TemplateText(member.key, isContent: true)), to: try TemplateValue(member.value))
      }
      self = .dictionary(dictionary)
    }
  }
}
