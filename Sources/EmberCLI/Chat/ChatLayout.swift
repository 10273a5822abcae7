import Ember

/// How a conversation becomes tokens, and what ends a reply.
struct ChatLayout {
  let template: ChatTemplate
  let variables: String?
  /// Tokens that end a reply.
  let stopTokens: [Int32]
  /// Texts that end a reply.
  let stopStrings: [String]
  private let tokenizer: Tokenizer
  /// Whether the beginning of the sequence comes before what the template writes.
  private let addsBeginOfSequence: Bool

  /// For models that were not made for chat: a dialogue that a text model continues.
  private static let plainTemplate = """
    {% for message in messages %}{% if message.role == 'system' %}{{ message.content | trim }}

    {% else %}{{ message.role | capitalize }}: {{ message.content | trim }}
    {% endif %}{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}
    """

  /// - Parameters:
  ///   - choice: `plain`, a file, or nil for the model's own template.
  ///   - variables: further variables of the template, a JSON object.
  /// - Throws: `ChatError.noTemplate`, `.template`, `CommandError`
  init(_ loaded: LoadedModel, choice: String?, variables: String?, stopStrings: [String]) throws {
    let metadata = loaded.model.metadata
    let isPlain = choice == "plain"
    let source: String
    if isPlain {
      source = Self.plainTemplate
    } else if let choice {
      source = try TextInput.file(FilePath(choice))
    } else if let own = metadata.chatTemplate {
      source = own
    } else {
      throw ChatError.noTemplate(loaded.model.file.path)
    }
    do throws(ChatTemplateError) {
      template = try ChatTemplate(source)
    } catch {
      throw ChatError.template(error)
    }
    tokenizer = loaded.tokenizer
    self.variables = variables
    addsBeginOfSequence = isPlain && tokenizer.addsBeginOfSequence
    self.stopStrings = stopStrings + (isPlain ? ["\nUser:", "\nAssistant:", "\nSystem:"] : [])
    let size = Int32(clamping: loaded.model.architecture.vocabularySize)
    let named = (metadata.stopTokens ?? []).compactMap { Int32(exactly: $0) }
    let own = [
      tokenizer.endOfSequence, tokenizer.beginOfSequence, tokenizer.endOfTurn(of: template),
    ]
    stopTokens = Set(named + own.compactMap { $0 }).filter { $0 >= 0 && $0 < size }.sorted()
  }

  /// - Throws: `ChatError.template`
  func render(_ conversation: Conversation) throws -> RenderedChat {
    do throws(ChatTemplateError) {
      return try template.render(
        conversation.messages, beginOfSequence: tokenizer.name(of: tokenizer.beginOfSequence),
        endOfSequence: tokenizer.name(of: tokenizer.endOfSequence), variables: variables)
    } catch {
      throw ChatError.template(error)
    }
  }

  func tokens(_ chat: RenderedChat) -> [Int32] {
    let begin = addsBeginOfSequence ? tokenizer.beginOfSequence : nil
    return (begin.map { [$0] } ?? []) + tokenizer.encode(chat)
  }

  /// The tokens of what follows a text that was encoded before, where the two can be put side by
  /// side: where a control token of the template separates them.
  func continuation(_ rest: RenderedChat) -> [Int32]? {
    guard rest.pieces.first?.isContent == false else { return nil }
    let tokens = tokenizer.encode(rest, isContinuation: true)
    guard let first = tokens.first, tokenizer.isSpecial(first) else { return nil }
    return tokens
  }
}
