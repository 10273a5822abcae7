/// Columns of text, as wide as their widest cell.
struct Table {
  enum Alignment { case left, right }

  private let columns: [(title: String, alignment: Alignment)]
  private var rows: [[String]] = []

  init(_ columns: [(title: String, alignment: Alignment)]) {
    self.columns = columns
  }

  mutating func append(_ row: [String]) { rows.append(row) }

  /// One line per row, each with its end.
  func rendered() -> String {
    let all = [columns.map(\.title)] + rows
    let widths = columns.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    var text = ""
    for row in all {
      var line = ""
      for (column, cell) in row.enumerated() {
        if column > 0 { line += "  " }
        line +=
          columns[column].alignment == .left
          ? cell.rightPadded(to: widths[column]) : cell.leftPadded(to: widths[column])
      }
      while line.hasSuffix(" ") { line.removeLast() }
      text += line + "\n"
    }
    return text
  }
}
