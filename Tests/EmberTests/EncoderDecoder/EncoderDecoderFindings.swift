import Ember
import EmberKernels
import EmberTestSupport
import Foundation
import Synchronization

/// What was found of one fixture: its row of the table, and the figures behind it. The limits are
/// those of the decoders (`ArchitectureFindings`, `LogitComparison`).
struct EncoderDecoderFindings: Sendable {
  /// Whether a conversion at 16 bits ran, and every tensor of the checkpoint found its place.
  var converts = false
  /// The encoder's output, and logits.
  let encoder: LogitComparison
  let decoder: LogitComparison
  /// Whether odd chunks and single tokens give the bits of the target in one piece.
  var decodeMatches = false
  /// Mean KL divergence from the logits at 16 bits, in nats, and from a uniform distribution.
  var divergence8: Double = .infinity
  var divergence4: Double = .infinity
  var information: Double = 0
  /// Whether streamed weights give the bits of the mapped ones, at 16, 8 and 4 bits.
  var streams = false

  var logitsMatch: Bool { encoder.agrees && decoder.agrees }
  var q8: Bool { divergence8 < information / 100 }
  var q4: Bool { divergence4 < information / 4 }

  private static let cache = Mutex<[String: EncoderDecoderFindings]>([:])

  static func of(_ name: String) throws -> EncoderDecoderFindings {
    try cache.withLock { cache in
      if let known = cache[name] { return known }
      let findings = try EncoderDecoderFindings(EncoderDecoderFixture(name))
      cache[name] = findings
      return findings
    }
  }

  private init(_ fixture: EncoderDecoderFixture) throws {
    let conversion = try fixture.conversion()
    let model = conversion.loaded.model
    converts = !conversion.warnings.contains { $0.contains("unused tensors") }
    let reference = try EncoderDecoderReference(
      fixture, width: model.architecture.width, vocabulary: model.architecture.vocabularySize)
    let session = try InferenceSession(model: model, threads: 2)
    let encoded = try fixture.encoded(session)
    encoder = LogitComparison(
      fixture.expected.sourcePositions.enumerated().map {
        (encoded[$1], reference.encodedOfHalves[$0], reference.encoded[$0])
      })
    let rows = try fixture.rows(session)
    decoder = LogitComparison(
      fixture.expected.targetPositions.enumerated().map {
        (rows[$1], reference.logitsOfHalves[$0], reference.logits[$0])
      })
    decodeMatches = try [1, 17, 100].allSatisfy {
      ArchitectureFindings.areSame(try fixture.rows(session, chunk: $0), rows)
    }
    information = ArchitectureFindings.mean(
      rows.map { ArchitectureFindings.divergence($0, $0.map { _ in 0 }) })
    divergence8 = try Self.divergence(fixture, bits: 8, from: rows)
    divergence4 = try Self.divergence(fixture, bits: 4, from: rows)
    streams = try [16, 8, 4].allSatisfy { try Self.streams(fixture, bits: $0) }
  }

  private static func divergence(
    _ fixture: EncoderDecoderFixture, bits: Int, from exact: [[Float]]
  ) throws -> Double {
    let rows = try fixture.rows(InferenceSession(model: fixture.converted(bits: bits).model))
    return ArchitectureFindings.mean(
      zip(exact, rows).map { ArchitectureFindings.divergence($0, $1) })
  }

  private static func streams(_ fixture: EncoderDecoderFixture, bits: Int) throws -> Bool {
    let model = try fixture.converted(bits: bits).model
    let mapped = try fixture.rows(InferenceSession(model: model))
    func plan(_ budget: Int) throws(ModelError) -> MemoryPlan {
      try MemoryPlan(
        model.inventory, model.architecture,
        MemoryRequest(budget: .bytes(budget), context: .positions(320), isForced: true),
        resident: 0, name: "model")
    }
    let least = try plan(0)
    for share in [0, 0.5] {
      let plan = try plan(least.totalBytes + Int(share * Double(model.inventory.matrixBytes)))
      guard plan.weights == .streamed, plan.streamedBytes > 0 else { return false }
      let session = try InferenceSession(model: model, plan: plan, threads: 2)
      // One source after another: the encoder streams anew for each.
      for _ in 0..<2 {
        let rows = try fixture.rows(session, chunk: 40)
        if !ArchitectureFindings.areSame(rows, mapped) { return false }
      }
      if session.bytesStreamed == 0 { return false }
    }
    return true
  }
}
