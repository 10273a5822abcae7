import Ember
import Foundation

/// Reads lines from a terminal, with editing and history: arrow keys, Home and End, word by word
/// with Ctrl or Alt, and the usual letters with Ctrl (A, B, D, E, F, H, K, L, N, P, U, W, Y).
///
/// Ctrl-J or Alt-Enter begins a new line inside the text; pasted text keeps its lines. It needs no
/// library, so that Ember needs none.
struct LineEditor: ChatInput {
  private let prompt: String
  private var keys = KeyReader(read: KeyReader.standardInput)
  private var history: [String] = []
  private var line = EditedLine()
  /// Which line of the history is shown; its count for the one being typed.
  private var shown = 0
  private var typed = ""
  /// The row of the cursor, below the first of the text.
  private var cursorRow = 0

  init(prompt: String) { self.prompt = prompt }

  mutating func remember(_ line: String) {
    if !line.isEmpty, history.last != line { history.append(line) }
  }

  mutating func nextLine() throws -> String? {
    guard UnsafeTerminalMode.enter() else { return readLine() }
    // Pasted text comes between marks.
    StandardError.write("\u{1B}[?2004h")
    defer {
      StandardError.write("\u{1B}[?2004l")
      UnsafeTerminalMode.leave()
    }
    line = EditedLine()
    shown = history.count
    cursorRow = 0
    var warned = false
    draw()
    while true {
      let key = keys.key()
      if key != .control("c") { warned = false }
      switch key {
      case .enter:
        line.move(by: line.characters.count)
        draw()
        StandardError.write("\r\n")
        return line.text
      case .endOfInput: return nil
      case .control("d") where line.isEmpty:
        StandardError.write("\r\n")
        return nil
      case .control("c"):
        StandardError.write("\r\n")
        if line.isEmpty, warned { return nil }
        if line.isEmpty {
          StandardError.write("(Ctrl-C again or Ctrl-D leaves)\r\n")
          warned = true
        }
        line = EditedLine()
        cursorRow = 0
      case .control("z"): suspend()
      default: edit(key)
      }
      draw()
    }
  }

  private mutating func edit(_ key: Key) {
    switch key {
    case .text(let text), .paste(let text): line.insert(text)
    case .tab: line.insert("\t")
    case .newLine: line.insert("\n")
    case .backspace, .control("h"): line.deleteBackward()
    case .delete, .control("d"): line.deleteForward()
    case .left, .control("b"): line.move(by: -1)
    case .right, .control("f"): line.move(by: 1)
    case .wordLeft: line.moveToWordStart()
    case .wordRight: line.moveToWordEnd()
    case .home, .control("a"): line.moveToStart()
    case .end, .control("e"): line.moveToEnd()
    case .control("k"): line.cutToEnd()
    case .control("u"): line.cutToStart()
    case .control("w"): line.cutWord()
    case .control("y"): line.paste()
    case .up, .control("p"): recall(shown - 1)
    case .down, .control("n"): recall(shown + 1)
    case .control("l"):
      StandardError.write("\u{1B}[H\u{1B}[2J")
      cursorRow = 0
    default: break
    }
  }

  private mutating func recall(_ index: Int) {
    guard (0...history.count).contains(index) else { return }
    if shown == history.count { typed = line.text }
    shown = index
    line.replace(with: index == history.count ? typed : history[index])
  }

  private mutating func suspend() {
    UnsafeTerminalMode.leave()
    raise(SIGTSTP)
    _ = UnsafeTerminalMode.enter()
    cursorRow = 0
  }

  /// Draws prompt and text anew, from the row where they began.
  private mutating func draw() {
    let columns = UnsafeTerminalMode.columns
    var output = "\r"
    if cursorRow > 0 { output += "\u{1B}[\(cursorRow)A" }
    output += "\u{1B}[J"
    let text = prompt + line.text.replacing("\t", with: " ")
    output += text.replacing("\n", with: "\r\n")
    let end = CellWidth.end(of: text, columns: columns)
    let cursor = CellWidth.end(
      of: prompt + line.beforeCursor.replacing("\t", with: " "), columns: columns)
    // A terminal stays on a row that is just full.
    if end.column == 0, end.row > 0, !text.hasSuffix("\n") { output += "\r\n" }
    if end.row > cursor.row { output += "\u{1B}[\(end.row - cursor.row)A" }
    output += "\r"
    if cursor.column > 0 { output += "\u{1B}[\(cursor.column)C" }
    cursorRow = cursor.row
    StandardError.write(output)
  }
}
