import Ember

/// A conversation from the first line to the last: takes the user's lines, answers, and does what
/// lines with a slash ask for.
struct ChatLoop {
  let engine: ChatEngine
  var conversation: Conversation
  var input: any ChatInput
  /// Where the conversation is saved after each reply; nil for nowhere.
  var saving: FilePath?
  let dropsOldest: Bool
  let isJSON: Bool
  /// Whether somebody sits there: then errors end nothing.
  let isInteractive: Bool
  let reading: ReadingProgress

  /// - Throws: what ends the conversation; where somebody sits there, only what makes it impossible
  ///   to go on.
  mutating func run() throws {
    while let line = try input.nextLine() {
      if line.allSatisfy(\.isWhitespace) { continue }
      input.remember(line)
      if let instruction = ChatInstruction(line) {
        if instruction == .exit { break }
        try unlessFatal { chat in try chat.follow(instruction) }
      } else {
        let question = line.hasPrefix("//") ? String(line.dropFirst()) : line
        try unlessFatal { chat in try chat.answer(question) }
      }
    }
  }

  /// With somebody there, says what is wrong and goes on.
  private mutating func unlessFatal(_ body: (inout ChatLoop) throws -> Void) throws {
    do {
      try body(&self)
    } catch let error as ChatError where isInteractive {
      say("\(error)")
    } catch let error as CommandError where isInteractive {
      if case .cannotWriteOutput = error { throw error }
      say("\(error)")
    }
  }

  private func say(_ text: String) { StandardError.write(text + "\n") }

  // MARK: Answers

  private mutating func answer(_ question: String) throws {
    conversation.messages.append(ChatMessage(role: "user", content: question))
    do {
      try answer()
    } catch {
      // A question that cannot be answered is not part of the conversation.
      if conversation.messages.last?.role == "user" { conversation.messages.removeLast() }
      throw error
    }
  }

  /// Answers the last question.
  private mutating func answer() throws {
    Interruption.catchSignals()
    var display = ReplyDisplay(isSilent: isJSON)
    let progress = Progress(after: .milliseconds(500))
    let reply = try engine.reply(
      to: conversation, dropsOldest: dropsOldest,
      isCancelled: { Interruption.hasHappened },
      progress: { done, total in
        progress.update(done: done, total: total, note: "reading the conversation") {
          "\(Format.fixed($0, 0)) tokens/s"
        }
      },
      emit: { piece in
        progress.finish()
        reading.finish()
        try display.show(piece)
      })
    progress.finish()
    reading.finish()
    try display.finish()
    let isInterrupted = reply.stopReason == .cancelled
    if isInterrupted, reply.text.isEmpty {
      conversation.messages.removeLast()
    } else {
      conversation.messages.append(ChatMessage(role: "assistant", content: reply.text))
    }
    if isJSON {
      try StandardOutput.write(try ChatRecord(reply, engine.session).line)
    } else {
      say(summary(reply))
    }
    if let saving { try conversation.save(to: saving) }
    // At a terminal Ctrl-C stops the reply only; a pipe, SIGTERM and SIGHUP end everything.
    if isInterrupted, !isInteractive || Interruption.exitStatus != .interrupted {
      throw InterruptedRun()
    }
  }

  private func summary(_ reply: ChatEngine.Reply) -> String {
    func speed(_ value: Double?) -> String {
      value.map { ", \(Format.fixed($0, 1)) tokens/s" } ?? ""
    }
    let computed = reply.promptTokens - reply.cachedTokens
    var parts = [
      "\(reply.generatedTokens) tokens\(speed(reply.tokensPerSecond))",
      "\(computed) new before them\(speed(reply.promptTokensPerSecond))",
    ]
    // A template may refuse what is left of a conversation after an interrupted reply.
    if let used = try? positionsUsed { parts.append(used) }
    switch reply.stopReason {
    case .cancelled: parts.append("stopped")
    case .contextFull:
      parts.append("the context is full: /reset, /undo, or start with --drop-oldest or --context")
    case .maximumTokens: parts.append("cut at --max-tokens")
    case .endOfSequence, .stopString, .stopToken, .grammarComplete: break
    }
    if reply.droppedMessages > 0 {
      parts.append("the \(reply.droppedMessages) oldest messages were left out")
    }
    return "[\(parts.joined(separator: "; "))]"
  }

  private var positionsUsed: String {
    get throws {
      let count = try engine.usedPositions(conversation, dropsOldest: dropsOldest)
      return "\(count) of \(engine.session.contextLength) positions used"
    }
  }

  // MARK: Instructions

  private mutating func follow(_ instruction: ChatInstruction) throws {
    switch instruction {
    case .help: StandardError.write(ChatInstruction.helpText)
    case .system(nil): say(conversation.system ?? "(no system prompt)")
    case .system(let text): conversation.system = text
    case .reset: conversation.reset()
    case .save(let name):
      guard let path = try name.map(filePath) ?? saving else {
        say("/save: expected a file")
        return
      }
      try conversation.save(to: path)
      say("saved \(conversation.messages.count) messages to \(path)")
    case .load(let name):
      conversation = try Conversation(contentsOf: try filePath(name))
      say("loaded \(conversation.messages.count) messages")
      for message in conversation.messages where message.role == "user" {
        input.remember(message.content)
      }
    case .undo:
      say(conversation.undo().map { "took back: \($0)" } ?? "nothing to take back")
    case .retry:
      let before = conversation
      guard let question = conversation.undo() else {
        say("nothing to answer")
        return
      }
      do {
        try answer(question)
      } catch {
        if !(error is InterruptedRun) { conversation = before }
        throw error
      }
    case .tokens: say(try positionsUsed)
    case .unknown(let message): say(message)
    case .exit: break
    }
  }
}

/// Prints a reply as it comes, from its first letter on.
struct ReplyDisplay {
  let isSilent: Bool
  private var hasBegun = false
  private var endsLine = true

  init(isSilent: Bool) { self.isSilent = isSilent }

  mutating func show(_ piece: String) throws {
    if isSilent { return }
    var text = Substring(piece)
    if !hasBegun { text = text.drop(while: \.isWhitespace) }
    guard let last = text.last else { return }
    hasBegun = true
    endsLine = last.isNewline
    try StandardOutput.write(String(text))
  }

  /// A reply ends its line.
  func finish() throws {
    if !isSilent, !endsLine || !hasBegun { try StandardOutput.write("\n") }
  }
}
