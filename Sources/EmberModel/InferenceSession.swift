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

  let cache: KeyValueCache
  private let scratch: Scratch
  private let team: ThreadTeam
  private let choosesThreads: Bool
  private let bytesPerToken: Int

  /// Weights that a step must read before a second thread pays, in bytes. Measured on two cores
  /// of a Zen 3 server in q4, decoding at two threads against one: 0.62 of its speed at 0.17 MB of
  /// weights, 0.98 at 2.5 MB, 0.97 at 3.8 MB, 1.05 at 7.7 MB, 1.36 at 18 MB. From 2.5 to
  /// 7.7 MB the difference is within the spread, so the threshold lies in the middle of a flat part.
  package static let bytesWorthThreads = 6_000_000

  /// - Parameters:
  ///   - contextLength: positions to make room for; the model's own length by default.
  ///   - threads: workers of every step; by default the physical cores that this process may use,
  ///     or one for steps that are too small for more.
  ///   - chunkLength: tokens per pass over the weights while a prompt is read.
  ///   - cachePrecision: how keys and values are stored; int8 takes half of the memory.
  /// - Throws: `ModelError.contextTooLong`, `.outOfMemory`
  public init(
    model: Model, contextLength: Int? = nil, threads: Int? = nil, chunkLength: Int = 128,
    cachePrecision: CachePrecision = .half, kernels: Kernels = .best
  ) throws(ModelError) {
    let architecture = model.architecture
    let length = contextLength ?? architecture.contextLength
    if length > architecture.contextLength || length < 1 {
      throw .contextTooLong(requested: length, maximum: architecture.contextLength)
    }
    self.model = model
    self.contextLength = length
    self.threadCount = max(1, threads ?? ThreadCount.recommended)
    choosesThreads = threads == nil
    bytesPerToken = model.weights.bytesPerToken
    self.chunkLength = max(1, min(chunkLength, length))
    self.kernels = kernels
    let scratchBytes = Scratch.byteCount(architecture: architecture, capacity: self.chunkLength)
    if scratchBytes > ProcessInfo.processInfo.physicalMemory {
      throw .outOfMemory(bytes: scratchBytes, purpose: "buffers of a step")
    }
    cache = try KeyValueCache(
      architecture: architecture, capacity: length, precision: cachePrecision)
    scratch = Scratch(
      architecture: architecture, weights: model.weights, cache: cache, contextLength: length,
      capacity: self.chunkLength)
    team = ThreadTeam(
      threadCount: threadCount,
      phaseCapacity: ForwardPass.phasesPerStep(layers: architecture.layerCount))
  }

  /// How keys and values are stored.
  public var cachePrecision: CachePrecision { cache.precision }

  /// Bytes of the key/value cache that are in use.
  public var cacheBytes: Int {
    KeyValueCache.byteCount(
      architecture: model.architecture, precision: cache.precision, positions: position)
  }

  /// Bytes of the key/value cache when the context is full.
  public var cacheCapacityBytes: Int {
    KeyValueCache.byteCount(
      architecture: model.architecture, precision: cache.precision, positions: contextLength)
  }

  /// Bytes of the buffers beside the cache.
  public var scratchBytes: Int { scratch.byteCount }

  /// Forgets all positions from `position` on.
  public func truncate(to position: Int) {
    self.position = max(0, min(self.position, position))
  }

  /// Appends tokens and returns the logits after the last of them, [vocabularySize]; the memory
  /// belongs to the session and holds until the next call.
  ///
  /// - Throws: `ModelError.noTokens`, `.contextFull`, `.unknownToken`; then nothing is appended.
  public func append(_ tokens: [Int32]) throws(ModelError) -> UnsafeMutableBufferPointer<Float> {
    try check(tokens)
    tokens.withUnsafeBufferPointer { tokens in
      guard let ids = tokens.baseAddress else { return }
      for start in stride(from: 0, to: tokens.count, by: chunkLength) {
        let end = min(start + chunkLength, tokens.count)
        compute(ids + start, count: end - start, logitsOfLast: end == tokens.count)
      }
    }
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
    try check(tokens)
    try tokens.withUnsafeBufferPointer { tokens in
      guard let ids = tokens.baseAddress else { return }
      for start in stride(from: 0, to: tokens.count, by: chunkLength) {
        let end = min(start + chunkLength, tokens.count)
        let pass = compute(ids + start, count: end - start, logitsOfLast: false)
        for first in stride(from: 0, to: end - start, by: Activations.tokensPerTile) {
          let range = first..<min(first + Activations.tokensPerTile, end - start)
          scratch.headInput.tokens = range.count
          team.step(
            workers: workers(tokens: range.count),
            ForwardStep(pass: pass, computesLayers: false, logits: range))
          for i in range {
            let row = scratch.logits + (i - first) * scratch.logitsStride
            try body(
              start + i, UnsafeMutableBufferPointer(start: row, count: scratch.logitsStride))
          }
        }
      }
    }
  }

  /// One pass over the weights for up to `chunkLength` tokens.
  @discardableResult
  private func compute(
    _ tokens: UnsafePointer<Int32>, count: Int, logitsOfLast: Bool
  ) -> ForwardPass {
    scratch.prepare(tokens: count)
    scratch.headInput.tokens = 1
    let pass = ForwardPass(
      architecture: model.architecture, weights: model.weights, kernels: kernels, cache: cache,
      scratch: scratch, tokens: tokens, tokenCount: count, position: position)
    let logits = logitsOfLast ? count - 1..<count : count..<count
    team.step(
      workers: workers(tokens: count),
      ForwardStep(pass: pass, computesLayers: true, logits: logits))
    position += count
    return pass
  }

  /// A token among 16 takes about half as long as one alone (measured in q4, 2.5 to 22 MB).
  private func workers(tokens: Int) -> Int {
    let work = bytesPerToken / 2 * (tokens + 1)
    return choosesThreads && work < Self.bytesWorthThreads ? 1 : threadCount
  }

  private func check(_ tokens: [Int32]) throws(ModelError) {
    if tokens.isEmpty { throw .noTokens }
    if position + tokens.count > contextLength {
      throw .contextFull(capacity: contextLength, used: position, added: tokens.count)
    }
    let size = model.architecture.vocabularySize
    if let bad = tokens.first(where: { $0 < 0 || $0 >= size }) {
      throw .unknownToken(id: bad, vocabularySize: size)
    }
  }
}
