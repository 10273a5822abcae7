public import EmberKernels
import Foundation

/// Several texts being computed together: one pass over the weights serves all of them.
///
/// ```swift
/// let session = try ParallelSession(model: model, sequences: 2)
/// let logits = try session.append([
///   .init(sequence: 0, tokens: [1, 403, 407], wantsLogits: true),
///   .init(sequence: 1, tokens: [1, 280], wantsLogits: true),
/// ])
/// let next = argmax(logits[0])   // after sequence 0's last token
/// ```
///
/// Each sequence has a key/value cache of its own and gets the same bits as in an
/// `InferenceSession`, whatever else a step computes. What they share is the reading of the weights,
/// which is what decoding costs where the model is larger than the processor's caches, and all the
/// more where it is larger than memory. A session belongs to one task at a time.
public final class ParallelSession {
  /// Tokens to append to one sequence in a step.
  public struct Addition: Sendable {
    public var sequence: Int
    public var tokens: [Int32]
    /// Whether the logits after the last of the tokens are needed.
    public var wantsLogits: Bool

    public init(sequence: Int, tokens: [Int32], wantsLogits: Bool) {
      self.sequence = sequence
      self.tokens = tokens
      self.wantsLogits = wantsLogits
    }
  }

  /// The logits of a step, [additions that wanted them][vocabularySize], in the order of the
  /// additions; the memory belongs to the session and holds until the next step.
  public struct Logits {
    public let count: Int
    let start: UnsafeMutablePointer<Float>
    let vocabularySize: Int

    public subscript(index: Int) -> UnsafeMutableBufferPointer<Float> {
      precondition((0..<count).contains(index), "there are no such logits")
      return UnsafeMutableBufferPointer(
        start: start + index * vocabularySize, count: vocabularySize)
    }
  }

  public let model: Model
  /// The most sequences at a time.
  public let sequenceCount: Int
  /// The most positions of each sequence.
  public let contextLength: Int
  /// The most tokens of a step, of all sequences together.
  public let stepCapacity: Int
  /// Workers of a step, at most.
  public let threadCount: Int
  /// Workers of a step that computes one token of every sequence: fewer where the model is too small
  /// for all, unless their number was given.
  public var decodeThreadCount: Int { workers(tokens: sequenceCount) }
  public let kernels: Kernels

  /// Where its memory goes.
  public let plan: MemoryPlan

  private let weights: Weights
  private let residency: Residency
  let source: SourceEncoder?
  private let caches: [KeyValueCache]
  /// Of each sequence.
  private var positions: [Int]
  /// The most that each was.
  private var highestPositions: [Int]
  private var cacheRoom: CacheRoom
  private let scratch: Scratch
  let team: ThreadTeam
  let choosesThreads: Bool
  private let bytesPerToken: Int
  /// [stepCapacity]
  private let tokens: UnsafeMutablePointer<Int32>
  /// The step that last took each sequence forward.
  private var lastStep: [Int]
  private var step = 0

  /// A session without a memory budget: weights are computed on where the file is mapped.
  ///
  /// - Parameters:
  ///   - sequences: how many there may be at a time, at least 1; at most 65,536.
  ///   - contextLength: positions to make room for in each; the model's own length by default.
  ///   - threads: workers of every step; by default the physical cores that this process may use,
  ///     or one for steps that are too small for more.
  ///   - stepCapacity: tokens of a step; at least one for each sequence.
  ///   - cachePrecision: how keys and values are stored.
  /// - Throws: `ModelError.contextTooLong`, `.outOfMemory`
  public convenience init(
    model: Model, sequences: Int, contextLength: Int? = nil, threads: Int? = nil,
    stepCapacity: Int = 128, cachePrecision: CachePrecision = .half, kernels: Kernels = .best
  ) throws(ModelError) {
    let request = MemoryRequest(
      budget: .unlimited, context: contextLength.map { .positions($0) } ?? .automatic,
      cachePrecision: cachePrecision, chunkLength: stepCapacity, sequences: sequences)
    try self.init(
      model: model, plan: MemoryPlan(for: model, request), threads: threads, kernels: kernels)
  }

  /// A session that takes the memory of a plan, which says how many sequences and how many tokens
  /// of a step there may be. Where weights are pinned, they are read now.
  ///
  /// - Parameters:
  ///   - plan: of this model.
  ///   - progress: called now and then while weights are read, on any thread but one at a time.
  /// - Throws: `ModelError.outOfMemory`, `.reading`
  public init(
    model: Model, plan: MemoryPlan, threads: Int? = nil, kernels: Kernels = .best,
    progress: @escaping @Sendable (_ bytesDone: Int, _ bytesTotal: Int) -> Void = { _, _ in }
  ) throws(ModelError) {
    let architecture = model.architecture
    let sequences = max(1, min(plan.sequences, 1 << 16))
    self.model = model
    self.plan = plan
    sequenceCount = sequences
    contextLength = plan.contextLength
    stepCapacity = max(sequences, plan.chunkLength)
    threadCount = max(1, threads ?? ThreadCount.recommended)
    choosesThreads = threads == nil
    bytesPerToken = model.weights.bytesPerToken
    self.kernels = kernels
    if plan.scratchBytes > ProcessInfo.processInfo.physicalMemory {
      throw .outOfMemory(bytes: plan.scratchBytes, purpose: "buffers of a step")
    }
    residency = try Residency(of: model, plan: plan)
    weights = try residency.weights(of: model)
    var caches: [KeyValueCache] = []
    while caches.count < sequences {
      caches.append(
        try KeyValueCache(
          architecture: architecture, capacity: plan.contextLength,
          precision: plan.cachePrecision))
    }
    self.caches = caches
    positions = [Int](repeating: 0, count: sequences)
    highestPositions = positions
    lastStep = [Int](repeating: 0, count: sequences)
    cacheRoom = CacheRoom(of: model, plan: plan)
    scratch = Scratch(
      architecture: architecture, weights: weights, cache: caches[0],
      contextLength: plan.contextLength, capacity: stepCapacity, segmentCapacity: sequences,
      logitsCapacity: max(sequences, Activations.tokensPerTile))
    tokens = .allocate(capacity: stepCapacity)
    source = try SourceEncoder(
      of: model, residency: residency, contextLength: plan.contextLength,
      precision: plan.cachePrecision, kernels: kernels)
    team = ThreadTeam(
      threadCount: threadCount,
      // One more than a single sequence: the gathering of the segments' ends.
      phaseCapacity: SourceEncoder.phaseCapacity(
        source, architecture, slices: residency.stream?.slices.slices.count ?? 0) + 1)
    try residency.stream?.fill(progress: progress)
  }

  deinit { tokens.deallocate() }

  /// How keys and values are stored.
  public var cachePrecision: CachePrecision { caches[0].precision }

  /// Bytes of the key/value caches that were written; a sequence that is reset keeps its memory for
  /// the next. Those of a source are among them.
  public var cacheBytes: Int {
    let source = SourceEncoder.cacheBytes(
      model.architecture, precision: cachePrecision, contextLength: sourceLength)
    return highestPositions.reduce(source) {
      $0
        + KeyValueCache.byteCount(
          architecture: model.architecture, precision: cachePrecision, positions: $1,
          stepLength: stepCapacity)
    }
  }

  /// Weights that lie in the caches' room until positions need it, in bytes.
  public var lentBytes: Int { residency.stream?.slices.lentBytes ?? 0 }

  /// Bytes read from the file so far because they have no place in memory.
  public var bytesStreamed: Int { residency.bytesRead }

  /// How it came by its experts so far; nil where all are in the mapping, or there are none.
  public var expertStatistics: ExpertStatistics? { residency.experts?.statistics }

  /// Bytes of the buffers beside the caches.
  public var scratchBytes: Int { scratch.byteCount }

  /// Positions in the cache of a sequence.
  public func position(of sequence: Int) -> Int { positions[sequence] }

  /// Forgets a sequence, so that another can take its place.
  public func reset(sequence: Int) {
    positions[sequence] = 0
    caches[sequence].startAnew()
  }

  /// Makes a sequence hold the same positions as another, as if it had been given the same tokens.
  ///
  /// - Parameter first: positions before it are known to be the same already. Complexity: O(positions
  ///   behind it).
  public func copy(sequence source: Int, to target: Int, from first: Int = 0) {
    if source == target { return }
    let end = positions[source]
    let same = max(0, min(first, positions[target], end))
    if cacheRoom.need(end, of: target) { residency.stream?.takeBack(leaving: cacheRoom.free) }
    caches[target].copyPositions(same..<end, from: caches[source])
    positions[target] = end
    highestPositions[target] = max(highestPositions[target], end)
  }

  /// What the logits of the last step were computed from: the stream behind the final norm, [width],
  /// of the addition with these logits; it holds until the next step.
  package func hiddenState(ofLogits index: Int) -> UnsafeBufferPointer<Float> {
    precondition((0..<scratch.headInput.tokens).contains(index), "there are no such logits")
    return UnsafeBufferPointer(
      start: scratch.headInput.vector(index), count: model.architecture.width)
  }

  /// Appends tokens to several sequences in one pass over the weights.
  ///
  /// - Parameter additions: each of another sequence; together at most `stepCapacity` tokens.
  /// - Returns: logits after the last token of each addition that wants them.
  /// - Throws: `ModelError.noTokens`, `.contextFull`, `.unknownToken`, `.stepTooLong`,
  ///   `.invalidSequence`; then nothing is appended. `.reading`, after which the session is of no
  ///   more use.
  public func append(_ additions: [Addition]) throws(ModelError) -> Logits {
    try check(additions)
    reserve(additions)
    let segments = scratch.segments
    segments.removeAll()
    for addition in additions {
      addition.tokens.withUnsafeBufferPointer { ids in
        guard let ids = ids.baseAddress else { return }
        (tokens + segments.tokenCount).initialize(from: ids, count: addition.tokens.count)
      }
      let position = positions[addition.sequence]
      caches[addition.sequence].release(behind: position)
      segments.append(
        caches[addition.sequence], position: position,
        tokens: addition.tokens.count, wantsLogits: addition.wantsLogits)
    }
    scratch.prepareSegments()
    scratch.headInput.tokens = segments.wantedCount
    let pass = ForwardPass(
      architecture: model.architecture, weights: weights, kernels: kernels, scratch: scratch,
      tokens: tokens, tokenCount: segments.tokenCount, residency: residency,
      source: source?.view)
    residency.stream?.beginPass(withHead: segments.wantedCount > 0)
    team.step(
      workers: workers(tokens: segments.tokenCount),
      ForwardStep(
        pass: pass, computesLayers: true, logits: 0..<segments.wantedCount, gathersEnds: true))
    if let failure = residency.failure { throw .reading(failure) }
    for addition in additions {
      let index = addition.sequence
      positions[index] += addition.tokens.count
      highestPositions[index] = max(highestPositions[index], positions[index])
    }
    return Logits(
      count: segments.wantedCount, start: scratch.logits, vocabularySize: scratch.logitsStride)
  }

  /// Makes sure that the caches' room holds no weights where the new positions will lie.
  private func reserve(_ additions: [Addition]) {
    var isLess = false
    for addition in additions {
      let end = positions[addition.sequence] + addition.tokens.count
      if cacheRoom.need(end, of: addition.sequence) { isLess = true }
    }
    if isLess { residency.stream?.takeBack(leaving: cacheRoom.free) }
  }

  private func workers(tokens: Int) -> Int {
    choosesThreads
      ? InferenceSession.workers(
        tokens: tokens, bytesPerToken: bytesPerToken, atMost: threadCount)
      : threadCount
  }

  private func check(_ additions: [Addition]) throws(ModelError) {
    if additions.isEmpty { throw .noTokens }
    if let source, source.length == 0 { throw .noSource }
    step += 1
    var total = 0
    let size = model.architecture.vocabularySize
    for addition in additions {
      let index = addition.sequence
      guard positions.indices.contains(index), lastStep[index] != step else {
        throw .invalidSequence(index: index, count: sequenceCount)
      }
      lastStep[index] = step
      if addition.tokens.isEmpty { throw .noTokens }
      if addition.tokens.count > contextLength - positions[index] {
        throw .contextFull(
          capacity: contextLength, used: positions[index], added: addition.tokens.count)
      }
      if let bad = addition.tokens.first(where: { $0 < 0 || $0 >= size }) {
        throw .unknownToken(id: bad, vocabularySize: size)
      }
      total += addition.tokens.count
    }
    if total > stepCapacity { throw .stepTooLong(tokens: total, capacity: stepCapacity) }
  }
}
