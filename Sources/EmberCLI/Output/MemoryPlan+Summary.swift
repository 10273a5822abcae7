import Ember

extension MemoryPlan {
  /// Says where the memory goes, before work begins; where all is as it would be without a budget,
  /// only if one was asked for.
  func announce(isAskedFor: Bool) {
    if isAskedFor || weights != .mapped { StandardError.write("plan     \(summary)\n") }
  }

  /// One line: what there is, and what for.
  var summary: String {
    var parts: [String] = []
    if weights == .streamed {
      parts.append("\(Format.shortBytes(pinnedBytes)) pinned")
      if expertSlots > 0 {
        parts.append("\(expertSlots) of \(expertCount) experts \(Format.shortBytes(expertBytes))")
      }
      parts.append("at most \(Format.shortBytes(streamedBytes)) streamed per token")
    } else {
      parts.append("\(Format.shortBytes(mappedBytes)) mapped")
    }
    let limit = budget.map { " of \(Format.shortBytes($0))" } ?? ""
    return "\(Format.shortBytes(totalBytes))\(limit) at most: weights"
      + " \(parts.joined(separator: ", ")); \(contextLength) positions of key/value cache"
      + " \(Format.shortBytes(cacheBytes)), buffers \(Format.shortBytes(scratchBytes + ringBytes)),"
      + " program \(Format.shortBytes(programBytes))"
  }
}
