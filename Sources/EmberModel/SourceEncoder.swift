import EmberKernels
import Foundation

/// The source that an encoder–decoder's sessions attend to: computes it, and keeps keys and values of
/// it for all layers of the decoder.
///
/// A source is computed in one pass, since every token sees all others; the buffers of that live as
/// long as the pass.
final class SourceEncoder {
  /// Tokens of the source; 0 where there is none yet.
  private(set) var length = 0
  /// The most tokens of a source.
  let capacity: Int
  private let architecture: Architecture
  private let weights: Weights
  private let residency: Residency
  private let kernels: Kernels
  private let cache: KeyValueCache
  private let bytesPerToken: Int

  /// - Returns: nil where the model has no encoder.
  /// - Throws: `ModelError.outOfMemory`
  init?(
    of model: Model, residency: Residency, contextLength: Int, precision: CachePrecision,
    kernels: Kernels
  ) throws(ModelError) {
    guard let architecture = model.architecture.encoderArchitecture,
      let weights = try residency.encoderWeights(of: model)
    else { return nil }
    self.architecture = architecture
    self.weights = weights
    self.residency = residency.ofEncoder
    self.kernels = kernels
    capacity = contextLength
    bytesPerToken = model.inventory.encoderBytes
    cache = try KeyValueCache(
      architecture: model.architecture, capacity: contextLength, precision: precision)
  }

  /// What a step of the decoder attends to; nil where there is no source yet.
  var view: ForwardPass.Source? {
    length == 0 ? nil : ForwardPass.Source(cache: cache, length: length)
  }

  /// Phases that a team must have room for.
  var phases: Int {
    ForwardPass.phasesToEncode(
      architecture, decoderLayers: weights.cross.count,
      slices: residency.stream?.slices.slices.count ?? 0)
  }

  /// Phases of a session's steps at most.
  static func phaseCapacity(
    _ source: SourceEncoder?, _ model: Architecture, slices: Int
  ) -> Int {
    let steps = ForwardPass.phasesPerStep(model, slices: slices)
    guard let source else { return steps }
    return max(steps + ForwardPass.phasesToAttendSource(layers: model.layerCount), source.phases)
  }

  /// Takes the place of the source before.
  ///
  /// - Parameters:
  ///   - workers: of the pass; nil for as many as pay.
  ///   - observe: called with the encoder's output, [tokens][width].
  /// - Throws: `ModelError.noTokens`, `.sourceTooLong`, `.unknownToken`, `.outOfMemory`, `.reading`;
  ///   then there is no source.
  func encode(
    _ tokens: [Int32], team: ThreadTeam, workers: Int?, observe: (Activations) -> Void = { _ in }
  ) throws(ModelError) {
    length = 0
    try check(tokens)
    let own = try KeyValueCache(
      architecture: Self.singleLayer(architecture), capacity: tokens.count, precision: .half)
    let scratch = Scratch(
      architecture: architecture, weights: weights, cache: own, contextLength: tokens.count,
      capacity: tokens.count, logitsCapacity: 0, seesAll: true)
    scratch.prepare(tokens: tokens.count, of: own, from: 0)
    residency.stream?.beginPass(withHead: true)
    tokens.withUnsafeBufferPointer { ids in
      guard let ids = ids.baseAddress else { return }
      let pass = ForwardPass(
        architecture: architecture, weights: weights, kernels: kernels, scratch: scratch,
        tokens: ids, tokenCount: tokens.count, residency: residency, seesAll: true)
      team.step(
        workers: workers
          ?? InferenceSession.workers(
            tokens: tokens.count, bytesPerToken: bytesPerToken, atMost: team.threadCount),
        EncoderStep(pass: pass, cache: cache))
    }
    if let failure = residency.failure { throw .reading(failure) }
    observe(scratch.normed)
    length = tokens.count
  }

  private func check(_ tokens: [Int32]) throws(ModelError) {
    if tokens.isEmpty { throw .noTokens }
    if tokens.count > capacity { throw .sourceTooLong(tokens: tokens.count, capacity: capacity) }
    let size = architecture.vocabularySize
    if let bad = tokens.first(where: { $0 < 0 || $0 >= size }) {
      throw .unknownToken(id: bad, vocabularySize: size)
    }
    let bytes = Self.scratchBytes(of: architecture, contextLength: tokens.count)
    if bytes > ProcessInfo.processInfo.physicalMemory {
      throw .outOfMemory(bytes: bytes, purpose: "buffers of a source")
    }
  }
}

extension SourceEncoder {
  /// Bytes that a source of `contextLength` tokens takes while it is computed; 0 where the model has no
  /// encoder, `Int.max` where no integer holds their number.
  static func scratchBytes(_ model: Architecture, contextLength: Int) -> Int {
    model.encoderArchitecture.map { scratchBytes(of: $0, contextLength: contextLength) } ?? 0
  }

  /// Bytes that keys and values of a source take.
  static func cacheBytes(
    _ model: Architecture, precision: CachePrecision, contextLength: Int
  ) -> Int {
    model.encoder == nil
      ? 0
      : KeyValueCache.byteCount(
        architecture: model, precision: precision, positions: contextLength,
        stepLength: contextLength)
  }

  private static func scratchBytes(of encoder: Architecture, contextLength: Int) -> Int {
    let parts = [
      Scratch.byteCount(
        architecture: encoder, precision: .half, contextLength: contextLength,
        capacity: contextLength, logitsCapacity: 0, seesAll: true),
      KeyValueCache.byteCount(
        architecture: singleLayer(encoder), precision: .half, positions: contextLength,
        stepLength: contextLength),
    ]
    return parts.reduce(0) { $0.addingReportingOverflow($1).overflow ? .max : $0 + $1 }
  }

  /// The cache of one layer serves all.
  private static func singleLayer(_ encoder: Architecture) -> Architecture {
    var single = encoder
    single.layerCount = 1
    return single
  }
}
