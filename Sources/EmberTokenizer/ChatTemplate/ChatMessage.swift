/// One turn of a conversation.
public struct ChatMessage: Codable, Sendable, Equatable {
  /// Who speaks: `system`, `user` or `assistant`, or whatever else the template knows.
  public var role: String
  public var content: String

  public init(role: String, content: String) {
    self.role = role
    self.content = content
  }
}
