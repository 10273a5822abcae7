import Ember
import Foundation
import SystemPackage

/// A text as its pieces on a terminal: backgrounds in turn, the ids small beside them.
enum TokenizeColours {
  /// Dark enough for light text, light enough to be seen on black.
  private static let backgrounds = [24, 60, 94, 65, 96]

  static func text(_ ids: [Int32], _ tokenizer: Tokenizer) -> String {
    var text = ""
    for (index, id) in ids.enumerated() {
      let background = backgrounds[index % backgrounds.count]
      text += "\u{1B}[48;5;\(background);38;5;255m\(tokenizer.piece(id))\u{1B}[0m"
      text += "\u{1B}[2m\(id)\u{1B}[0m "
      // The line goes on where the text's does.
      if tokenizer.bytes(of: id).last == UInt8(ascii: "\n") { text += "\n" }
    }
    return text + "\n\(ids.count) token\(ids.count == 1 ? "" : "s")\n"
  }
}

extension StandardOutput {
  static var isTerminal: Bool { isatty(FileDescriptor.standardOutput.rawValue) != 0 }
}
