/// What a line that begins with a slash asks for.
enum ChatInstruction: Equatable {
  case help
  /// nil: show it.
  case system(String?)
  case reset
  case save(String?)
  case load(String)
  case undo
  case retry
  case tokens
  case exit
  /// A line that is no instruction, with a message about it.
  case unknown(String)

  /// nil for a line that is said to the model; `//` at its beginning stands for one slash.
  init?(_ line: String) {
    guard line.hasPrefix("/"), !line.hasPrefix("//") else { return nil }
    let parts = line.dropFirst().split(separator: " ", maxSplits: 1)
    let name = parts.first.map(String.init) ?? ""
    let rest = parts.count > 1 ? String(parts[1]).trimmingSpaces() : nil
    switch (name, rest) {
    case ("help", nil), ("?", nil): self = .help
    case ("system", _): self = .system(rest)
    case ("reset", nil): self = .reset
    case ("save", _): self = .save(rest)
    case ("load", .some(let path)): self = .load(path)
    case ("load", nil): self = .unknown("/load: expected a file")
    case ("undo", nil): self = .undo
    case ("retry", nil): self = .retry
    case ("tokens", nil): self = .tokens
    case ("exit", nil), ("quit", nil), ("bye", nil): self = .exit
    default: self = .unknown("/\(name): no such command; /help lists them, // begins with a slash")
    }
  }

  static let helpText = """
    /system [TEXT]  show or set what the model is told first
    /reset          begin anew, with the same system prompt
    /undo           take back the last question and its answer
    /retry          answer the last question again
    /save [FILE]    save the conversation
    /load FILE      go on with a saved conversation
    /tokens         how much of the context is used
    /exit           leave; so does Ctrl-D
    A line that should begin with a slash begins with two. Ctrl-C stops an answer, Ctrl-J begins a new line.

    """
}

extension String {
  fileprivate func trimmingSpaces() -> String {
    var text = Substring(self)
    while text.first == " " { text.removeFirst() }
    while text.last == " " { text.removeLast() }
    return String(text)
  }
}
