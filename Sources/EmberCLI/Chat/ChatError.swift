import Ember

/// What can go wrong in a conversation, one case per cause.
enum ChatError: Error, CustomStringConvertible, ExitStatusProviding {
  /// A model without a chat template, and none was given.
  case noTemplate(FilePath)
  /// A conversation that is longer than the context.
  case tooLong(tokens: Int, context: Int)
  /// A template that writes nothing for the conversation.
  case emptyPrompt
  /// A file that is no conversation.
  case notConversation(FilePath, String)
  /// A conversation that cannot be saved.
  case cannotSave(FilePath, String)
  /// The template's complaint about the conversation, or about itself.
  case template(ChatTemplateError)

  var exitStatus: ExitStatus {
    switch self {
    case .noTemplate: .unsupported
    case .tooLong, .emptyPrompt, .notConversation: .invalidData
    case .cannotSave: .cannotCreate
    case .template(.unsupported): .unsupported
    case .template: .invalidData
    }
  }

  var description: String {
    switch self {
    case .noTemplate(let path):
      "\(path): the model has no chat template: convert it again from a checkpoint that has one,"
        + " give one with --template FILE, or take the plain layout (User: … Assistant: …) with"
        + " --template plain"
    case .tooLong(let tokens, let context):
      "the conversation has \(tokens) tokens, the context holds \(context): begin anew with /reset,"
        + " take turns back with /undo, or start with --drop-oldest or a larger --context"
    case .emptyPrompt:
      "the chat template writes nothing for this conversation"
    case .notConversation(let path, let problem):
      "\(path): expected a conversation such as {\"messages\": [{\"role\": \"user\", \"content\":"
        + " \"Hi\"}]}, \(problem)"
    case .cannotSave(let path, let problem):
      "\(path): cannot write the conversation: \(problem)"
    case .template(let error):
      error.description
    }
  }
}
