import EmberFormat

/// Rows and columns as text, as wide as their widest cell.
public struct TextTable: Sendable {
  public enum Style: Sendable {
    /// Two spaces between columns.
    case listing
    /// The same with a line under the header.
    case terminal
    /// A table of GitHub's Markdown that is readable as it stands.
    case markdown
  }

  public enum Alignment: Sendable { case left, right }

  public var header: [String]
  public var rows: [[String]]
  /// Of the columns in their order; those that are missing are to the right.
  public var alignments: [Alignment]

  /// Cells that a row lacks are empty, those beyond the header are left out.
  public init(
    header: [String], rows: [[String]] = [], alignments: [Alignment] = [.left]
  ) {
    self.header = header
    self.rows = rows
    self.alignments = alignments
  }

  /// Lines, each with a line end.
  public func rendered(as style: Style) -> String {
    let lines = ([header] + rows).map { row in
      header.indices.map { column in
        // Neither a line end nor a bar in a file's name may break the table.
        let cell = column < row.count ? OneLine.escape(row[column]) : ""
        return style == .markdown ? cell.replacing("|", with: "\\|") : cell
      }
    }
    // Markdown wants three dashes at least.
    let widths = header.indices.map { column in
      max(style == .markdown ? 3 : 1, lines.map { $0[column].count }.max() ?? 0)
    }
    func line(_ cells: [String]) -> String {
      let padded = header.indices.map { column in
        let padding = String(repeating: " ", count: widths[column] - cells[column].count)
        return isLeft(column) ? cells[column] + padding : padding + cells[column]
      }
      if style == .markdown { return "| " + padded.joined(separator: " | ") + " |\n" }
      var line = padded.joined(separator: "  ")
      while line.hasSuffix(" ") { line.removeLast() }
      return line + "\n"
    }
    let rule = header.indices.map { column in
      let dashes = String(repeating: "-", count: widths[column])
      return style == .markdown && !isLeft(column) ? dashes.dropLast() + ":" : dashes
    }
    return line(lines[0]) + (style == .listing ? "" : line(rule))
      + lines.dropFirst().map(line).joined()
  }

  private func isLeft(_ column: Int) -> Bool {
    column < alignments.count && alignments[column] == .left
  }
}
