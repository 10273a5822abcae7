import EmberTokenizer

/// From ids to the text that is handed out.
struct TextOutput: Sendable {
  private var decoder: StreamDecoder
  private var matcher: StopStringMatcher
  private(set) var text = ""

  /// - Parameter history: the tokens before the text.
  init(_ tokenizer: Tokenizer, after history: [Int32], stopStrings: [String]) {
    decoder = tokenizer.streamDecoder(after: history.last)
    matcher = StopStringMatcher(stopStrings)
  }

  /// Whether a stop string is complete.
  mutating func append(_ id: Int32, _ emit: (String) throws -> Void) throws -> Bool {
    let (shown, stops) = matcher.append(decoder.append(id))
    try hand(shown, emit)
    return stops
  }

  mutating func finish(_ emit: (String) throws -> Void) throws {
    let (shown, stops) = matcher.append(decoder.finish())
    try hand(shown, emit)
    if !stops { try hand(matcher.finish(), emit) }
  }

  private mutating func hand(_ piece: String, _ emit: (String) throws -> Void) throws {
    if piece.isEmpty { return }
    text += piece
    try emit(piece)
  }
}
