import Ember

/// The logits of one position after the other, as a table or as the `positions` of a JSON object.
struct LogitsOutput {
  /// nil for tables.
  private let ids: [Int32]?
  private var count = 0
  private var pending = ""

  init() { ids = nil }

  /// - Parameter ids: the tokens that are computed.
  init(jsonFor ids: [Int32]) { self.ids = ids }

  struct Position: Encodable {
    /// Counted from 0; the logits are for the token after it.
    var position: Int
    var id: Int32
    var logits: [Logit]

    fileprivate func text(piece: String) -> String {
      let table = TextTable(
        header: ["id", "logit", "piece"],
        rows: logits.map { ["\($0.id)", "\($0.logit)", "|\($0.piece)|"] },
        alignments: [.right, .right, .left])
      return "after position \(position), token \(id) |\(piece)|\n"
        + table.rendered(as: .listing)
    }
  }

  struct Logit: Encodable {
    var id: Int32
    var logit: Float
    var piece: String
  }

  /// - Parameter piece: of the position's token.
  mutating func write(_ position: Position, piece: String) throws {
    if ids == nil {
      pending += position.text(piece: piece)
    } else {
      // The object begins with the first position: a model that fails at once prints nothing.
      pending += count == 0 ? try beginning() : ",\n    "
      pending += try JSONOutput.text(position, indentation: 4)
    }
    count += 1
    if pending.utf8.count > 1 << 16 { try flush() }
  }

  mutating func finish() throws {
    if ids != nil { pending += (count == 0 ? try beginning() : "") + "\n  ]\n}\n" }
    try flush()
  }

  private func beginning() throws -> String {
    let list = try JSONOutput.text(ids ?? [], indentation: 2)
    return "{\n  \"ids\" : \(list),\n  \"positions\" : [\n    "
  }

  private mutating func flush() throws {
    try StandardOutput.write(pending)
    pending = ""
  }
}
