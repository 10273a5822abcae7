/// How many cells of a terminal a text takes.
enum CellWidth {
  /// Two for East Asian wide characters and emoji, none for marks that join others.
  static func of(_ character: Character) -> Int {
    guard let first = character.unicodeScalars.first else { return 0 }
    switch first.properties.generalCategory {
    case .control: return first == "\t" ? 1 : 0
    case .nonspacingMark, .enclosingMark, .format: return 0
    default: break
    }
    if first.properties.isEmojiPresentation { return 2 }
    if character.unicodeScalars.contains("\u{FE0F}") { return 2 }
    switch first.value {
    case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xA960...0xA97C, 0xAC00...0xD7A3,
      0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F000...0x1FAFF,
      0x20000...0x3FFFD:
      return 2
    default: return 1
    }
  }

  /// Where the cursor is after a text that begins at the left edge, in rows and cells.
  static func end(of text: String, columns: Int) -> (row: Int, column: Int) {
    var (row, column) = (0, 0)
    for character in text {
      if character == "\n" {
        row += 1
        column = 0
        continue
      }
      let width = of(character)
      if column + width > columns {
        row += 1
        column = 0
      }
      column += width
    }
    // A full row goes on in the next.
    return column == columns ? (row + 1, 0) : (row, column)
  }
}
