/// The room that a plan keeps for keys and values of the whole context, and what they need of it so far.
///
/// A text begins short. Until its positions need the room, weights that would stream are lent it
/// (`WeightStream`), so the first tokens read less than the plan says, and the last ones as much.
struct CacheRoom {
  private let architecture: Architecture
  private let plan: MemoryPlan
  /// What each sequence may use, in positions.
  private var granted: [Int]

  /// What a sequence is granted at a time.
  static let positionsAtOnce = 64

  init(of model: Model, plan: MemoryPlan) {
    architecture = model.architecture
    self.plan = plan
    let first = min(Self.positionsAtOnce, plan.contextLength)
    granted = [Int](repeating: first, count: max(1, plan.sequences))
  }

  /// Bytes that are not needed yet.
  var free: Int {
    // A source has a cache beside it, which one text fills at once.
    if architecture.encoder != nil { return 0 }
    return max(0, granted.reduce(plan.cacheBytes) { $0 - needed($1) })
  }

  /// Notes that a sequence is to have so many positions.
  ///
  /// - Returns: whether less is free now.
  mutating func need(_ positions: Int, of sequence: Int = 0) -> Bool {
    if positions <= granted[sequence] { return false }
    let steps = (positions + Self.positionsAtOnce - 1) / Self.positionsAtOnce
    granted[sequence] = min(plan.contextLength, steps * Self.positionsAtOnce)
    return true
  }

  /// Bytes of a sequence's cache. The keys and the values of each head and their scales begin on pages
  /// of their own, which only a full cache has no gaps between.
  private func needed(_ positions: Int) -> Int {
    func bytes(_ positions: Int) -> Int {
      KeyValueCache.byteCount(
        architecture: architecture, precision: plan.cachePrecision, positions: positions,
        stepLength: plan.chunkLength)
    }
    let parts = 4 * architecture.layerCount * architecture.attention.keyValueHeadCount
    return min(bytes(plan.contextLength), bytes(positions) + parts * ReservedMemory.pageBytes)
  }
}
