import Ember

/// Where the memory of a run went, and what had to be read because it had no place in it.
struct MemoryReport: Encodable {
  /// What the process may have, null for no limit.
  var memoryBudgetBytes: Nullable<Int>
  /// The most that it had resident, mapped pages included.
  var peakMemoryBytes: Int
  /// How the weights are held: `mapped`, `mapped_matrices`, or `streamed`.
  var residency: MemoryPlan.Weights
  var mappedBytes: Int
  var pinnedBytes: Int
  /// Weights in the cache's room at the end of the text, where positions did not need it yet.
  var lentBytes: Int
  var ringBytes: Int
  /// Slots for experts, and how often one was in memory when it was needed; null where none is kept so.
  var expertBytes: Int
  var expertSlots: Int
  var expertHitRate: Nullable<Double>
  /// Of the positions that were used, and of all that there is room for.
  var keyValueCacheBytes: Int
  var keyValueCacheCapacityBytes: Int
  var scratchBytes: Int
  /// Of each token after the first, from the file; 0 where all weights are in memory.
  var streamedBytesPerToken: Nullable<Double>
  /// While decoding.
  var streamedBytesPerSecond: Nullable<Double>

  private var pinningIsLimited = false

  private enum CodingKeys: String, CodingKey {
    case memoryBudgetBytes, peakMemoryBytes, residency, mappedBytes, pinnedBytes, lentBytes
    case ringBytes, expertBytes, expertSlots, expertHitRate
    case keyValueCacheBytes, keyValueCacheCapacityBytes, scratchBytes
    case streamedBytesPerToken, streamedBytesPerSecond
  }

  init(_ session: InferenceSession, _ result: TextGenerator.Result) {
    let plan = session.plan
    memoryBudgetBytes = Nullable(plan.budget)
    peakMemoryBytes = ProcessMemory.peak
    residency = plan.weights
    mappedBytes = plan.mappedBytes
    pinnedBytes = plan.pinnedBytes
    lentBytes = session.lentBytes
    ringBytes = plan.ringBytes
    expertBytes = plan.expertBytes
    expertSlots = plan.expertSlots
    expertHitRate = Nullable(session.expertStatistics?.hitRate)
    keyValueCacheBytes = session.cacheBytes
    keyValueCacheCapacityBytes = session.cacheCapacityBytes
    scratchBytes = session.scratchBytes
    pinningIsLimited = session.pinningIsLimited
    let steps = Double(result.decodeSteps)
    let streamed = Double(result.decodeBytesStreamed)
    streamedBytesPerToken = Nullable(steps > 0 ? streamed / steps : nil)
    let isKnown = result.decodeSeconds > 0 && plan.weights == .streamed
    streamedBytesPerSecond = Nullable(isKnown ? streamed / result.decodeSeconds : nil)
  }

  /// A line each for what there is.
  var table: String {
    func line(_ name: String, _ bytes: Int, _ words: String) -> [(String, String)] {
      bytes == 0
        ? [] : [("  " + name, Format.shortBytes(bytes).leftPadded(to: 9) + "  " + words)]
    }
    let limit = memoryBudgetBytes.value.map { " of \(Format.shortBytes($0))" } ?? ""
    var lines = [
      ("memory", "\(Format.shortBytes(peakMemoryBytes).leftPadded(to: 9))\(limit) at the peak")
    ]
    lines += line("mapped", mappedBytes, "weights in the file")
    lines += line("pinned", pinnedBytes, "weights in private memory")
    lines += line("lent", lentBytes, "weights in the cache's room, until positions need it")
    lines += line("ring", ringBytes, "that the other weights stream through")
    let hits = expertHitRate.value.map { ", in memory for \(Format.percent($0, 1)) of their uses" }
    lines += line("experts", expertBytes, "\(expertSlots) at a time\(hits ?? "")")
    lines += line(
      "cache", keyValueCacheBytes,
      "keys and values, \(Format.shortBytes(keyValueCacheCapacityBytes)) when the context is full")
    lines += line("scratch", scratchBytes, "buffers of a step")
    if residency == .streamed, let perToken = streamedBytesPerToken.value {
      let speed = streamedBytesPerSecond.value.map {
        ", at \(Format.fixed($0 * 1e-9, 2)) GB/s"
      }
      lines += line("read", Int(perToken), "from the file for each token\(speed ?? "")")
    }
    if pinningIsLimited {
      lines.append(
        (
          "  hint",
          "pinned weights may be swapped out: the limit on locked memory (ulimit -l) is low"
        ))
    }
    return Listing.rendered(lines.map { (name: $0.0, value: $0.1) })
  }
}
