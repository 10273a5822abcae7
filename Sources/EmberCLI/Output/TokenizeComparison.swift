import Ember
import EmberFormat

/// A text cut by two tokenizers, side by side.
struct TokenizeComparison {
  struct Report: Encodable {
    struct Side: Encodable {
      var file: String
      var tokenizer: String
      var tokens: Int
      var bytesPerToken: Double
      var ids: [Int32]
      var pieces: [String]
    }
    var bytes: Int
    var first: Side
    var second: Side
  }

  let report: Report
  private let ends: ([Int], [Int])

  init(
    text: String, names: (FilePath, FilePath), tokenizers: (Tokenizer, Tokenizer)
  ) {
    func side(_ name: FilePath, _ tokenizer: Tokenizer) -> (Report.Side, [Int]) {
      let ids = tokenizer.encode(text)
      var end = 0
      let ends = ids.map { id -> Int in
        if !tokenizer.isSpecial(id) { end += tokenizer.bytes(of: id).count }
        return end
      }
      let side = Report.Side(
        file: name.string, tokenizer: tokenizer.kindDescription, tokens: ids.count,
        bytesPerToken: ids.isEmpty ? 0 : Double(text.utf8.count) / Double(ids.count), ids: ids,
        pieces: ids.map(tokenizer.piece))
      return (side, ends)
    }
    let (first, firstEnds) = side(names.0, tokenizers.0)
    let (second, secondEnds) = side(names.1, tokenizers.1)
    report = Report(bytes: text.utf8.count, first: first, second: second)
    ends = (firstEnds, secondEnds)
  }

  /// How many tokens each makes.
  var summary: String {
    let table = TextTable(
      header: ["tokenizer", "tokens", "bytes/token", "file"],
      rows: [report.first, report.second].map {
        [
          $0.tokenizer, Format.grouped($0.tokens), Format.fixed($0.bytesPerToken, 2),
          OneLine.escape($0.file),
        ]
      },
      alignments: [.left, .right, .right, .left])
    return table.rendered(as: .listing)
  }

  /// The pieces, on one line wherever both have a boundary at the same place of the text.
  var listing: String {
    var rows: [[String]] = []
    var (first, second) = (0, 0)
    while first < ends.0.count || second < ends.1.count {
      let start = (first, second)
      let place = { (ends: [Int], index: Int) in index < ends.count ? ends[index] : Int.max }
      // Both go on until they meet.
      var (left, right) = (place(ends.0, first), place(ends.1, second))
      first += first < ends.0.count ? 1 : 0
      second += second < ends.1.count ? 1 : 0
      while left != right {
        if left < right {
          guard first < ends.0.count else { break }
          left = place(ends.0, first)
          first += 1
        } else {
          guard second < ends.1.count else { break }
          right = place(ends.1, second)
          second += 1
        }
      }
      let height = max(first - start.0, second - start.1)
      for offset in 0..<max(height, 1) {
        rows.append(
          cells(report.first, start.0 + offset, before: first)
            + cells(report.second, start.1 + offset, before: second))
      }
    }
    let table = TextTable(
      header: ["id", "piece", "id", "piece"], rows: rows,
      alignments: [.right, .left, .right, .left])
    return table.rendered(as: .listing) + summary
  }

  private func cells(_ side: Report.Side, _ index: Int, before end: Int) -> [String] {
    guard index < end else { return ["", ""] }
    return ["\(side.ids[index])", "|\(side.pieces[index])|"]
  }
}
