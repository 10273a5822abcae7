/// Names and values, one pair per line.
enum Listing {
  static func rendered(_ lines: [(name: String, value: String)]) -> String {
    let width = lines.map(\.name.count).max() ?? 0
    return lines.map { "\($0.name.rightPadded(to: width))  \($0.value)\n" }.joined()
  }
}
