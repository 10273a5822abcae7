public import EmberKernels
import Foundation

/// One text being computed: a model's weights, a key/value cache and the buffers of a step.
///
/// ```swift
/// let session = try InferenceSession(model: model, threads: 2)
/// let logits = try session.append([1, 403, 407])   // after the last token
/// ```
///
/// Tokens are appended; the cache keeps the positions so far, and `truncate` takes some back. A
/// session belongs to one task at a time.
public final class InferenceSession {
  public let model: Model
  /// The most positions that the cache can hold.
  public let contextLength: Int
  /// Workers of a step, at most.
  public let threadCount: Int
  /// Workers of a step that computes a single token: fewer where the model is too small for all,
  /// unless their number was given. Results do not depend on it.
  public var decodeThreadCount: Int { workers(tokens: 1) }
  /// Tokens computed in one pass over the weights.
  public let chunkLength: Int
  public let kernels: Kernels
  /// Positions in the cache.
  public internal(set) var position = 0

  /// Where its memory goes.
  public let plan: MemoryPlan
  private let weights: Weights
  private let residency: Residency
  let source: SourceEncoder?
  package let cache: KeyValueCache
  private var cacheRoom: CacheRoom
  private let scratch: Scratch
  let team: ThreadTeam
  let choosesThreads: Bool
  private let bytesPerToken: Int

  /// Weights that a step must read before a second thread pays, in bytes. Measured on two cores
  /// of a Zen 3 server in q4, decoding at two threads against one: 0.62 of its speed at 0.17 MB of
  /// weights, 0.98 at 2.5 MB, 0.97 at 3.8 MB, 1.05 at 7.7 MB, 1.36 at 18 MB. From 2.5 to
  /// 7.7 MB the difference is within the spread, so the threshold lies in the middle of a flat part.
  package static let bytesWorthThreads = 6_000_000

  /// A session without a memory budget: weights are computed on where the file is mapped.
  ///
  /// - Parameters:
  ///   - contextLength: positions to make room for; the model's own length by default.
  ///   - threads: workers of every step; by default the physical cores that this process may use,
  ///     or one for steps that are too small for more.
  ///   - chunkLength: tokens per pass over the weights while a prompt is read.
  ///   - cachePrecision: how keys and values are stored; int8 takes half of the memory.
  /// - Throws: `ModelError.contextTooLong`, `.outOfMemory`
  public convenience init(
    model: Model, contextLength: Int? = nil, threads: Int? = nil, chunkLength: Int = 128,
    cachePrecision: CachePrecision = .half, kernels: Kernels = .best
  ) throws(ModelError) {
    let request = MemoryRequest(
      budget: .unlimited, context: contextLength.map { .positions($0) } ?? .automatic,
      cachePrecision: cachePrecision, chunkLength: chunkLength)
    try self.init(
      model: model, plan: MemoryPlan(for: model, request), threads: threads, kernels: kernels)
  }

  /// A session that takes the memory of a plan. Where weights are pinned, they are read now.
  ///
  /// - Parameters:
  ///   - plan: of this model.
  ///   - threads: workers of every step; by default the physical cores that this process may use,
  ///     or one for steps that are too small for more.
  ///   - progress: called now and then while weights are read, on any thread but one at a time.
  /// - Throws: `ModelError.outOfMemory`, `.reading`
  public init(
    model: Model, plan: MemoryPlan, threads: Int? = nil, kernels: Kernels = .best,
    progress: @escaping @Sendable (_ bytesDone: Int, _ bytesTotal: Int) -> Void = { _, _ in }
  ) throws(ModelError) {
    let architecture = model.architecture
    self.model = model
    self.plan = plan
    contextLength = plan.contextLength
    threadCount = max(1, threads ?? ThreadCount.recommended)
    choosesThreads = threads == nil
    bytesPerToken = model.weights.bytesPerToken
    chunkLength = max(1, min(plan.chunkLength, plan.contextLength))
    self.kernels = kernels
    if plan.scratchBytes > ProcessInfo.processInfo.physicalMemory {
      throw .outOfMemory(bytes: plan.scratchBytes, purpose: "buffers of a step")
    }
    residency = try Residency(of: model, plan: plan)
    weights = try residency.weights(of: model)
    cache = try KeyValueCache(
      architecture: architecture, capacity: plan.contextLength, precision: plan.cachePrecision)
    cacheRoom = CacheRoom(of: model, plan: plan)
    scratch = Scratch(
      architecture: architecture, weights: weights, cache: cache,
      contextLength: plan.contextLength, capacity: chunkLength)
    source = try SourceEncoder(
      of: model, residency: residency, contextLength: plan.contextLength,
      precision: plan.cachePrecision, kernels: kernels)
    team = ThreadTeam(
      threadCount: threadCount,
      phaseCapacity: SourceEncoder.phaseCapacity(
        source, architecture, slices: residency.stream?.slices.slices.count ?? 0))
    try residency.stream?.fill(progress: progress)
  }

  /// How keys and values are stored.
  public var cachePrecision: CachePrecision { cache.precision }

  /// Bytes of the key/value cache that are in use.
  public var cacheBytes: Int {
    ownCacheBytes(positions: position) + sourceCacheBytes(length: sourceLength)
  }

  /// Bytes of the key/value cache when the context is full.
  public var cacheCapacityBytes: Int {
    ownCacheBytes(positions: contextLength) + sourceCacheBytes(length: contextLength)
  }

  private func sourceCacheBytes(length: Int) -> Int {
    SourceEncoder.cacheBytes(
      model.architecture, precision: cache.precision, contextLength: length)
  }

  private func ownCacheBytes(positions: Int) -> Int {
    KeyValueCache.byteCount(
      architecture: model.architecture, precision: cache.precision, positions: positions,
      stepLength: chunkLength)
  }

  /// Bytes of the buffers beside the cache.
  public var scratchBytes: Int { scratch.byteCount }

  /// Weights that lie in the cache's room until positions need it, in bytes.
  public var lentBytes: Int { residency.stream?.slices.lentBytes ?? 0 }

  /// Bytes read from the file so far because they have no place in memory.
  public var bytesStreamed: Int { residency.bytesRead }

  /// How it came by its experts so far; nil where all are in the mapping, or there are none.
  public var expertStatistics: ExpertStatistics? { residency.experts?.statistics }

  /// Whether pinned weights might be swapped out because the limit on locked memory is too low.
  public var pinningIsLimited: Bool {
    residency.stream?.lockFailure == .limit && AvailableMemory.hasSwap
  }

  /// Forgets all positions from `position` on. A model whose layers see only a window forgets what
  /// has left it: it can go on from a few positions back, but from earlier only at the beginning.
  ///
  /// - Returns: the positions that are left: as many as asked for, or 0 where these cannot be gone on
  ///   from; what was to be kept is to be appended again.
  @discardableResult
  public func truncate(to position: Int) -> Int {
    if position < self.position {
      self.position = cache.canGoOn(at: position) ? max(0, position) : 0
      if self.position == 0 { cache.startAnew() }
    }
    return self.position
  }

  /// Appends tokens and returns the logits after the last of them, [vocabularySize]; the memory
  /// belongs to the session and holds until the next call.
  ///
  /// - Throws: `ModelError.noTokens`, `.contextFull`, `.unknownToken`; then nothing is appended.
  ///   `ModelError.reading`, after which the session is of no more use.
  public func append(_ tokens: [Int32]) throws(ModelError) -> UnsafeMutableBufferPointer<Float> {
    try check(tokens)
    reserve(positions: position + tokens.count)
    tokens.withUnsafeBufferPointer { tokens in
      guard let ids = tokens.baseAddress else { return }
      for start in stride(from: 0, to: tokens.count, by: chunkLength) {
        let end = min(start + chunkLength, tokens.count)
        let isLast = end == tokens.count
        compute(
          ids + start, count: end - start,
          logits: isLast ? end - start - 1..<end - start : 0..<0)
      }
    }
    if let failure = residency.failure { throw .reading(failure) }
    return UnsafeMutableBufferPointer(start: scratch.logits, count: scratch.logitsStride)
  }

  /// Appends tokens and calls `body` with the logits after each of them, in order.
  ///
  /// - Throws: `ModelError.noTokens`, `.contextFull`, `.unknownToken` (then nothing is appended),
  ///   and what `body` throws.
  public func append(
    _ tokens: [Int32],
    eachLogits body: (_ index: Int, _ logits: UnsafeMutableBufferPointer<Float>) throws -> Void
  ) throws {
    try appendPrefix(of: tokens) { index, logits in
      try body(index, logits)
      return true
    }
  }

  /// Appends tokens as long as `goesOn` says so of the logits after each, [vocabularySize]: those
  /// behind the first for which it does not are forgotten again. They are computed together, up to
  /// `chunkLength` in one pass over the weights; allocates nothing.
  ///
  /// - Throws: `ModelError.noTokens`, `.contextFull`, `.unknownToken` (then nothing is appended),
  ///   and what `goesOn` throws.
  public func appendPrefix(
    of tokens: [Int32],
    while goesOn: (_ index: Int, _ logits: UnsafeMutableBufferPointer<Float>) throws -> Bool
  ) throws {
    try check(tokens)
    let before = position
    reserve(positions: before + tokens.count)
    // One pass over a head that streams has to serve all tokens of the chunk.
    let tile = Activations.tokensPerTile
    let chunkLength = headStreams ? min(chunkLength, tile) : chunkLength
    try tokens.withUnsafeBufferPointer { tokens in
      guard let ids = tokens.baseAddress else { return }
      for start in stride(from: 0, to: tokens.count, by: chunkLength) {
        let end = min(start + chunkLength, tokens.count)
        for first in stride(from: 0, to: end - start, by: tile) {
          let range = first..<min(first + tile, end - start)
          if first == 0 {
            compute(ids + start, count: end - start, logits: range)
          } else {
            computeLogits(range, ids + start, count: end - start)
          }
          if let failure = residency.failure { throw ModelError.reading(failure) }
          for i in range {
            let row = scratch.logits + (i - first) * scratch.logitsStride
            let logits = UnsafeMutableBufferPointer(start: row, count: scratch.logitsStride)
            if try !goesOn(start + i, logits) {
              truncate(to: before + start + i + 1)
              return
            }
          }
        }
      }
    }
  }

  /// Makes sure that the cache's room holds no weights where so many positions will lie.
  func reserve(positions: Int) {
    if cacheRoom.need(positions) { residency.stream?.takeBack(leaving: cacheRoom.free) }
  }

  /// One pass over the weights for up to `chunkLength` tokens, and the logits after some of them.
  private func compute(_ tokens: UnsafePointer<Int32>, count: Int, logits: Range<Int>) {
    cache.release(behind: position)
    scratch.prepare(tokens: count, of: cache, from: position)
    scratch.headInput.tokens = logits.count
    residency.stream?.beginPass(withHead: !logits.isEmpty)
    team.step(
      workers: workers(tokens: count),
      ForwardStep(
        pass: pass(tokens, count: count), computesLayers: true, logits: logits))
    position += count
  }

  /// The logits after more of the tokens of the last pass; the head is in memory.
  private func computeLogits(_ range: Range<Int>, _ tokens: UnsafePointer<Int32>, count: Int) {
    scratch.headInput.tokens = range.count
    team.step(
      workers: workers(tokens: range.count),
      ForwardStep(
        pass: pass(tokens, count: count), computesLayers: false, logits: range))
  }

  private func pass(_ tokens: UnsafePointer<Int32>, count: Int) -> ForwardPass {
    ForwardPass(
      architecture: model.architecture, weights: weights, kernels: kernels, scratch: scratch,
      tokens: tokens, tokenCount: count, residency: residency, source: source?.view)
  }

  /// Whether each pass reads some of the head from the file.
  private var headStreams: Bool {
    residency.stream.map { $0.slices.layerTickets < $0.slices.tickets } ?? false
  }

  private func workers(tokens: Int) -> Int {
    choosesThreads
      ? Self.workers(tokens: tokens, bytesPerToken: bytesPerToken, atMost: threadCount)
      : threadCount
  }

  /// A token among 16 takes about half as long as one alone (measured in q4, 2.5 to 22 MB).
  static func workers(tokens: Int, bytesPerToken: Int, atMost threadCount: Int) -> Int {
    let work = bytesPerToken / 2 * (tokens + 1)
    return work < bytesWorthThreads ? 1 : threadCount
  }

  private func check(_ tokens: [Int32]) throws(ModelError) {
    if tokens.isEmpty { throw .noTokens }
    if let source, source.length == 0 { throw .noSource }
    if position + tokens.count > contextLength {
      throw .contextFull(capacity: contextLength, used: position, added: tokens.count)
    }
    let size = model.architecture.vocabularySize
    if let bad = tokens.first(where: { $0 < 0 || $0 >= size }) {
      throw .unknownToken(id: bad, vocabularySize: size)
    }
  }
}
