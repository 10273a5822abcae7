/// Why a chat template cannot be read, or cannot render a conversation. Lines count from 1.
public enum ChatTemplateError: Error, Equatable, Sendable {
  /// The template is not well formed.
  case syntax(line: Int, reason: String)
  /// The template uses a part of Jinja that Ember does not know.
  case unsupported(line: Int, what: String)
  /// An operation on values that do not allow it.
  case evaluation(line: Int, reason: String)
  /// The template itself refuses the conversation, with this message.
  case refused(message: String)
  /// Rendering takes more steps, text or depth than any real template needs.
  case limit(line: Int, what: String)
  /// A message, tool or variable that is handed to the template is not usable.
  case invalidInput(name: String, expected: String, found: String)
}

extension ChatTemplateError: CustomStringConvertible {
  /// One line: what, where, and what was found.
  public var description: String {
    switch self {
    case .syntax(let line, let reason):
      "the chat template is not well formed: line \(line): \(Self.shown(reason))"
    case .unsupported(let line, let what):
      "the chat template uses what Ember does not know: line \(line): \(Self.shown(what)); give"
        + " another template with --template"
    case .evaluation(let line, let reason):
      "the chat template fails for this conversation: line \(line): \(Self.shown(reason))"
    case .refused(let message):
      "the chat template refuses this conversation: \(Self.shown(message))"
    case .limit(let line, let what):
      "the chat template is stopped: line \(line): \(Self.shown(what))"
    case .invalidInput(let name, let expected, let found):
      "\(name): expected \(expected), found \(Self.shown(found))"
    }
  }

  /// On one line whatever the text holds, and never long: it comes from a stranger's file.
  private static func shown(_ text: String) -> String {
    let scalars = text.unicodeScalars
    let shown = scalars.prefix(200).map { scalar in
      scalar.properties.generalCategory == .control ? scalar.escaped(asASCII: true) : String(scalar)
    }
    return shown.joined() + (scalars.count > 200 ? "…" : "")
  }
}
