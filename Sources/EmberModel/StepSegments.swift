import EmberKernels

/// What a step computes of one sequence: some tokens behind those that its cache holds.
struct StepSegment {
  /// Unowned: the session that runs the step holds it, and counting references would make the
  /// workers write to one place.
  unowned(unsafe) let cache: KeyValueCache
  /// Positions that were in the cache before the step.
  let position: Int
  /// Which of the step's tokens.
  let tokens: Range<Int>

  /// The position of one of its tokens.
  func position(ofToken t: Int) -> Int { position + t - tokens.lowerBound }
}

/// The segments of a step, and the tiles that attention divides them into; allocated once.
///
/// A tile holds up to 16 tokens of one segment, which all look at the same cache.
final class StepSegments: @unchecked Sendable {
  // Sendable because it changes only between steps.

  /// Tokens `tokens` of the step, of segment `segment`.
  struct Tile {
    let segment: Int
    let tokens: Range<Int>
  }

  private(set) var count = 0
  private(set) var tileCount = 0
  private(set) var tokenCount = 0
  /// Segments whose last tokens' logits are wanted.
  private(set) var wantedCount = 0
  private let tokenCapacity: Int
  private let segmentCapacity: Int
  private let segments: UnsafeMutablePointer<StepSegment>
  /// [T] the segment of each token
  private let indices: UnsafeMutablePointer<Int>
  private let tiles: UnsafeMutablePointer<Tile>
  private let wanted: UnsafeMutablePointer<Int>

  init(tokenCapacity: Int, segmentCapacity: Int) {
    self.tokenCapacity = tokenCapacity
    self.segmentCapacity = segmentCapacity
    segments = .allocate(capacity: segmentCapacity)
    indices = .allocate(capacity: tokenCapacity)
    // All of a segment's tiles but the last are full.
    tiles = .allocate(capacity: tokenCapacity / Activations.tokensPerTile + segmentCapacity)
    wanted = .allocate(capacity: segmentCapacity)
  }

  deinit {
    segments.deallocate()
    indices.deallocate()
    tiles.deallocate()
    wanted.deallocate()
  }

  subscript(index: Int) -> StepSegment { segments[index] }

  func tile(_ index: Int) -> Tile { tiles[index] }

  func segment(ofToken t: Int) -> StepSegment { segments[indices[t]] }

  /// The last token of the segment whose logits are wanted as number `index`; they ascend.
  func wantedToken(_ index: Int) -> Int { wanted[index] }

  func removeAll() { (count, tileCount, tokenCount, wantedCount) = (0, 0, 0, 0) }

  /// The step's next `added` tokens belong to the sequence with this cache.
  func append(
    _ cache: KeyValueCache, position: Int, tokens added: Int, wantsLogits: Bool = false
  ) {
    precondition(
      count < segmentCapacity && added > 0 && added <= tokenCapacity - tokenCount,
      "more segments or tokens than there is room for")
    let end = tokenCount + added
    (segments + count).initialize(
      to: StepSegment(cache: cache, position: position, tokens: tokenCount..<end))
    for t in tokenCount..<end { (indices + t).initialize(to: count) }
    for first in stride(from: tokenCount, to: end, by: Activations.tokensPerTile) {
      let tokens = first..<min(first + Activations.tokensPerTile, end)
      (tiles + tileCount).initialize(to: Tile(segment: count, tokens: tokens))
      tileCount += 1
    }
    if wantsLogits {
      (wanted + wantedCount).initialize(to: end - 1)
      wantedCount += 1
    }
    count += 1
    tokenCount = end
  }
}
