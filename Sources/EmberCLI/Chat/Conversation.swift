import Ember
import Foundation

/// What was said so far, as it is saved.
struct Conversation: Codable, Equatable {
  var messages: [ChatMessage] = []

  /// What the model is told before the first turn; nil for nothing.
  var system: String? {
    get { messages.first.flatMap { $0.role == "system" ? $0.content : nil } }
    set {
      if system != nil { messages.removeFirst() }
      if let newValue { messages.insert(ChatMessage(role: "system", content: newValue), at: 0) }
    }
  }

  /// Forgets everything but the system prompt.
  mutating func reset() { messages = messages.filter { $0.role == "system" } }

  /// Takes the last question back, and what was answered. Returns the question.
  mutating func undo() -> String? {
    guard let last = messages.lastIndex(where: { $0.role == "user" }) else { return nil }
    let question = messages[last].content
    messages.removeSubrange(last...)
    return question
  }

  /// Without the oldest question and its answers; nil where no more than one question is left.
  var withoutOldestTurn: Conversation? {
    let questions = messages.indices.filter { messages[$0].role == "user" }
    guard questions.count > 1 else { return nil }
    var rest = self
    rest.messages.removeSubrange(questions[0]..<questions[1])
    return rest
  }

  // MARK: Files

  /// - Throws: `CommandError`, `ChatError.notConversation`
  init(contentsOf path: FilePath) throws {
    let data = Data(try TextInput.file(path).utf8)
    do {
      self = try JSONDecoder().decode(Conversation.self, from: data)
    } catch {
      throw ChatError.notConversation(path, "found something else")
    }
    let known = ["system", "user", "assistant"]
    if let other = messages.first(where: { !known.contains($0.role) }) {
      throw ChatError.notConversation(path, "found the role \(other.role)")
    }
    if messages.dropFirst().contains(where: { $0.role == "system" }) {
      throw ChatError.notConversation(path, "found a system message that is not the first")
    }
  }

  init() {}

  /// Replaces the file in one step, so that a crash leaves the old one or the new one.
  ///
  /// - Throws: `ChatError.cannotSave`
  func save(to path: FilePath) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    do {
      var data = try encoder.encode(self)
      data.append(UInt8(ascii: "\n"))
      try data.write(to: URL(filePath: path.string), options: .atomic)
    } catch {
      let reason = (error as NSError).localizedDescription
      throw ChatError.cannotSave(path, reason)
    }
  }
}
