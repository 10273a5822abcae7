import Ember
import EmberTestSupport
import Foundation
import Synchronization

/// What was found of one fixture: a row of the table, and the figures behind it.
struct ArchitectureFindings: Sendable {
  /// Whether a conversion at 16 bits ran, and every tensor of the checkpoint found its place.
  var converts = false
  let comparison: LogitComparison
  /// Whether odd chunks and single tokens give the bits of the prompt in one piece.
  var decodeMatches = false
  /// Mean KL divergence from the logits at 16 bits, in nats, and from a uniform distribution.
  var divergence8: Double = .infinity
  var divergence4: Double = .infinity
  var information: Double = 0
  /// Whether streamed weights give the bits of the mapped ones, at 16, 8 and 4 bits.
  var streams = false

  var logitsMatch: Bool { comparison.agrees }
  /// Eight bits lose less than a hundredth of what the model knows, four bits less than a quarter:
  /// random weights, 32 columns of them, in which nothing averages out.
  var q8: Bool { divergence8 < information / 100 }
  var q4: Bool { isNear(divergence4) }
  func isNear(_ divergence: Double) -> Bool { divergence < information / 4 }

  private static let cache = Mutex<[String: ArchitectureFindings]>([:])

  static func of(_ checkpoint: ArchitectureCheckpoint) throws -> ArchitectureFindings {
    try cache.withLock { cache in
      if let known = cache[checkpoint.name] { return known }
      let findings = try ArchitectureFindings(checkpoint)
      cache[checkpoint.name] = findings
      return findings
    }
  }

  private init(_ checkpoint: ArchitectureCheckpoint) throws {
    let exact = try ArchitectureModel.converted(checkpoint, bits: 16)
    // Weights of another fixture may have a head or a norm that this variant has not.
    converts = exact.warnings.isEmpty || exact.reference.weights != checkpoint.name
    var rows: [[[Float]]] = []
    decodeMatches = true
    for text in exact.reference.texts {
      let prompt = try exact.rows(text, chunks: [text.length])
      for chunks in [[1], [3, 1, 18, 7, 64]] {
        let again = try exact.rows(text, chunks: chunks)
        decodeMatches = decodeMatches && Self.areSame(again, prompt)
      }
      rows.append(prompt)
    }
    comparison = LogitComparison(rows, exact.reference)
    information = Self.mean(rows.joined().map { Self.divergence($0, $0.map { _ in 0 }) })
    divergence8 = try Self.divergence(checkpoint, bits: 8, from: rows)
    divergence4 = try Self.divergence(checkpoint, bits: 4, from: rows)
    streams = try [16, 8, 4].allSatisfy { try Self.streams(checkpoint, bits: $0) }
  }

  private static func streams(_ checkpoint: ArchitectureCheckpoint, bits: Int) throws -> Bool {
    let converted = try ArchitectureModel.converted(checkpoint, bits: bits)
    for text in converted.reference.texts {
      let mapped = try converted.rows(text, chunks: [40])
      for share in [0, 0.5] {
        let plan = try converted.streamingPlan(context: text.context, share: share)
        guard plan.weights == .streamed, plan.streamedBytes > 0 else { return false }
        let streamed = try converted.rows(text, chunks: [100, 1, 1, 30], plan: plan)
        if !areSame(streamed, mapped) { return false }
      }
    }
    return true
  }

  private static func divergence(
    _ checkpoint: ArchitectureCheckpoint, bits: Int, from rows: [[[Float]]]
  ) throws -> Double {
    let converted = try ArchitectureModel.converted(checkpoint, bits: bits)
    var divergences: [Double] = []
    for (text, exact) in zip(converted.reference.texts, rows) {
      let found = try converted.rows(text, chunks: [text.length])
      divergences += zip(exact, found).map { divergence($0, $1) }
    }
    return mean(divergences)
  }

  static func areSame(_ a: [[Float]], _ b: [[Float]]) -> Bool {
    a.map { $0.map(\.bitPattern) } == b.map { $0.map(\.bitPattern) }
  }

  static func mean(_ values: [Double]) -> Double {
    values.reduce(0, +) / Double(values.count)
  }

  /// KL(p ‖ q) of the distributions that two rows of logits stand for, in nats.
  static func divergence(_ p: [Float], _ q: [Float]) -> Double {
    func logarithms(_ logits: [Float]) -> [Double] {
      let top = Double(logits.max() ?? 0)
      let sum = logits.reduce(0.0) { $0 + exp(Double($1) - top) }
      return logits.map { Double($0) - top - log(sum) }
    }
    return zip(logarithms(p), logarithms(q)).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) }
  }
}
