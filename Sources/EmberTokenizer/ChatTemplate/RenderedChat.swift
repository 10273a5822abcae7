/// The text of a conversation, which knows what of it the template wrote and what the speakers did.
public struct RenderedChat: Sendable {
  /// In pieces: a piece is the template's or a speaker's.
  public struct Piece: Sendable, Equatable {
    public let text: String
    /// Whether it comes from a message, not from the template.
    public let isContent: Bool
  }

  let text: TemplateText

  init(_ text: TemplateText) { self.text = text }

  /// The whole text.
  public var string: String { text.string }

  public var pieces: [Piece] {
    var pieces: [Piece] = []
    var start = 0
    for index in text.units.indices {
      let isContent = TemplateText.isContent(text.units[index])
      if index + 1 == text.count || TemplateText.isContent(text.units[index + 1]) != isContent {
        pieces.append(Piece(text: text[start..<index + 1].string, isContent: isContent))
        start = index + 1
      }
    }
    return pieces
  }

  /// Whether it goes on from another: then the rest, else nil.
  package func rest(after prefix: String) -> RenderedChat? {
    let prefix = TemplateText(prefix)
    return text.hasPrefix(prefix) ? RenderedChat(text[prefix.count..<text.count]) : nil
  }
}
