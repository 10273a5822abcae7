/// Whether words may be cut before runs of a space's stand-in without changing any result.
enum BeforeRuns {
  /// The stand-in, if no merge of the description reaches across a place where it follows something
  /// else, and it has a piece of its own (or it could be part of a run of unknown characters).
  ///
  /// - Returns: nil if words must stay whole.
  static func character(of description: TokenizerDescription) -> [UInt8]? {
    if description.options.contains(.ignoresMerges) { return nil }
    let character = Metaspace.bytes
    guard
      description.pieces.contains(where: { $0.flags.contains(.lookup) && $0.bytes == character })
    else { return nil }
    var isResult = [Bool](repeating: false, count: description.pieces.count)
    for merge in description.merges { isResult[Int(merge.result)] = true }
    for (id, piece) in description.pieces.enumerated() where isResult[id] {
      if crosses(piece.bytes, character) { return nil }
    }
    return character
  }

  private static func crosses(_ bytes: [UInt8], _ character: [UInt8]) -> Bool {
    var at = 0
    var isAfterOther = false
    while at < bytes.count {
      if bytes[at...].starts(with: character) {
        if isAfterOther { return true }
        at += character.count
      } else {
        isAfterOther = true
        at += 1
      }
    }
    return false
  }
}
