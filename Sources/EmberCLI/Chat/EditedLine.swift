/// A line while it is typed: its characters and the cursor.
struct EditedLine: Equatable {
  private(set) var characters: [Character] = []
  private(set) var cursor = 0
  /// What was cut last.
  private var cut: [Character] = []

  var text: String { String(characters) }
  var isEmpty: Bool { characters.isEmpty }
  var beforeCursor: String { String(characters[..<cursor]) }

  /// Marks join the character before them.
  mutating func insert(_ text: String) {
    let before = beforeCursor + text
    let all = Array(before + String(characters[cursor...]))
    cursor = min(before.count, all.count)
    characters = all
  }

  mutating func replace(with text: String) {
    characters = Array(text)
    cursor = characters.count
  }

  mutating func move(by distance: Int) {
    cursor = max(0, min(characters.count, cursor + distance))
  }

  mutating func moveToStart() { cursor = lineStart }

  mutating func moveToEnd() {
    cursor = characters[cursor...].firstIndex(of: "\n") ?? characters.count
  }

  private var lineStart: Int {
    characters[..<cursor].lastIndex(of: "\n").map { $0 + 1 } ?? 0
  }

  mutating func deleteBackward() {
    if cursor > 0 { remove(cursor - 1..<cursor) }
  }

  mutating func deleteForward() {
    if cursor < characters.count { remove(cursor..<cursor + 1) }
  }

  mutating func cutToStart() { cut(lineStart..<cursor) }

  mutating func cutToEnd() {
    cut(cursor..<(characters[cursor...].firstIndex(of: "\n") ?? characters.count))
  }

  mutating func cutWord() { cut(wordStart..<cursor) }

  mutating func paste() { insert(String(cut)) }

  mutating func moveToWordStart() { cursor = wordStart }

  mutating func moveToWordEnd() {
    while cursor < characters.count, characters[cursor].isWhitespace { cursor += 1 }
    while cursor < characters.count, !characters[cursor].isWhitespace { cursor += 1 }
  }

  private var wordStart: Int {
    var start = cursor
    while start > 0, characters[start - 1].isWhitespace { start -= 1 }
    while start > 0, !characters[start - 1].isWhitespace { start -= 1 }
    return start
  }

  private mutating func cut(_ range: Range<Int>) {
    if range.isEmpty { return }
    cut = Array(characters[range])
    remove(range)
  }

  private mutating func remove(_ range: Range<Int>) {
    characters.removeSubrange(range)
    cursor = range.lowerBound
  }
}
