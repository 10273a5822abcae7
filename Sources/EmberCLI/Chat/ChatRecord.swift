import Ember
import Foundation

/// A reply as a line of JSON.
struct ChatRecord: Encodable {
  var reply: String
  var stopReason: TextGenerator.StopReason
  var seed: UInt64
  var promptTokens, cachedTokens, generatedTokens: Int
  var promptTokensPerSecond, tokensPerSecond: Nullable<Double>
  var droppedMessages: Int
  var contextUsed, contextLength: Int

  init(_ reply: ChatEngine.Reply, _ session: InferenceSession) {
    self.reply = reply.text
    stopReason = reply.stopReason
    seed = reply.seed
    promptTokens = reply.promptTokens
    cachedTokens = reply.cachedTokens
    generatedTokens = reply.generatedTokens
    promptTokensPerSecond = Nullable(reply.promptTokensPerSecond)
    tokensPerSecond = Nullable(reply.tokensPerSecond)
    droppedMessages = reply.droppedMessages
    contextUsed = reply.promptTokens + reply.generatedTokens
    contextLength = session.contextLength
  }

  var line: String {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      encoder.keyEncodingStrategy = .convertToSnakeCase
      return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }
  }
}
