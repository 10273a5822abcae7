import Ember

extension MemoryPlan {
  /// One line: what there is, and what for.
  var summary: String {
    var parts: [String] = []
    if weights == .streamed {
      parts.append("\(Format.shortBytes(pinnedBytes)) pinned")
      parts.append("\(Format.shortBytes(streamedBytes)) streamed per token")
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
