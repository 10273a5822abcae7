/// Rows and columns as text, with aligned columns: the first to the left, the others to the right.
public struct TextTable: Sendable {
  public enum Style: Sendable {
    /// Two spaces between columns, a line under the header.
    case terminal
    /// A table of GitHub's Markdown that is readable as it stands.
    case markdown
  }

  public var header: [String]
  public var rows: [[String]]

  /// Cells that a row lacks are empty, those beyond the header are left out.
  public init(header: [String], rows: [[String]]) {
    self.header = header
    self.rows = rows
  }

  /// Lines, each with a line end.
  public func rendered(as style: Style) -> String {
    let lines = ([header] + rows).map { row in
      header.indices.map { column in
        let cell = column < row.count ? row[column] : ""
        // Neither a line end nor a bar in a file's name may break the table.
        return String(
          cell.map { character -> Character in character.isNewline ? " " : character }
        ).split(separator: "|", omittingEmptySubsequences: false)
          .joined(separator: style == .markdown ? "\\|" : "|")
      }
    }
    // Markdown wants three dashes at least.
    let widths = header.indices.map { column in
      max(style == .markdown ? 3 : 1, lines.map { $0[column].count }.max() ?? 0)
    }
    func line(_ cells: [String]) -> String {
      let padded = header.indices.map { column in
        let padding = String(repeating: " ", count: widths[column] - cells[column].count)
        return column == 0 ? cells[column] + padding : padding + cells[column]
      }
      return style == .markdown
        ? "| " + padded.joined(separator: " | ") + " |\n" : padded.joined(separator: "  ") + "\n"
    }
    let rule = header.indices.map { column in
      let dashes = String(repeating: "-", count: widths[column])
      return style == .markdown && column > 0 ? dashes.dropLast() + ":" : dashes
    }
    return line(lines[0]) + line(rule) + lines.dropFirst().map(line).joined()
  }
}
