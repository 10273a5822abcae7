import Ember

extension MemoryPlan {
  /// One line: what there is, and what for.
  var summary: String {
    var weights: [String] = []
    if mappedBytes > 0, self.weights != .streamed {
      weights.append("\(Format.shortBytes(mappedBytes)) mapped")
    }
    if pinnedBytes > 0 { weights.append("\(Format.shortBytes(pinnedBytes)) pinned") }
    if self.weights == .streamed {
      weights.append("\(Format.shortBytes(streamedBytes)) streamed per token")
    }
    let limit = budget.map { " of \(Format.shortBytes($0))" } ?? ""
    return "\(Format.shortBytes(totalBytes))\(limit) at most: weights"
      + " \(weights.joined(separator: ", ")); \(contextLength) positions of key/value cache"
      + " \(Format.shortBytes(cacheBytes)), scratch \(Format.shortBytes(scratchBytes + ringBytes)),"
      + " program \(Format.shortBytes(programBytes))"
  }
}
