import Ember
import EmberTestSupport
import Foundation
import Testing

/// Every decoder that Ember reads, against transformers on tiny random checkpoints.
@Suite("Architectures", .serialized)
struct ArchitectureTests {
  @Test("converts, and every tensor finds its place", arguments: ArchitectureCheckpoint.all)
  func converts(_ checkpoint: ArchitectureCheckpoint) throws {
    let findings = try ArchitectureFindings.of(checkpoint)
    #expect(findings.converts)
  }

  @Test("logits are those of transformers", arguments: ArchitectureCheckpoint.all)
  func logits(_ checkpoint: ArchitectureCheckpoint) throws {
    let findings = try ArchitectureFindings.of(checkpoint)
    #expect(findings.logitsMatch, "\(findings)")
    // The reference is worth something: no row is nearly uniform.
    #expect(findings.information > 0.5, "\(findings)")
  }

  @Test(
    "odd chunks and single tokens give the prompt's bits", arguments: ArchitectureCheckpoint.all)
  func decoding(_ checkpoint: ArchitectureCheckpoint) throws {
    let findings = try ArchitectureFindings.of(checkpoint)
    #expect(findings.decodeMatches)
  }

  @Test("8 and 4 bits stay near", arguments: ArchitectureCheckpoint.all)
  func quantized(_ checkpoint: ArchitectureCheckpoint) throws {
    let findings = try ArchitectureFindings.of(checkpoint)
    #expect(findings.q8 && findings.q4, "\(findings)")
  }

  @Test("streamed weights give the mapped ones' bits", arguments: ArchitectureCheckpoint.all)
  func streams(_ checkpoint: ArchitectureCheckpoint) throws {
    let findings = try ArchitectureFindings.of(checkpoint)
    #expect(findings.streams)
  }

  @Test("calibrates on a text", arguments: ArchitectureCheckpoint.all)
  func calibrates(_ checkpoint: ArchitectureCheckpoint) throws {
    let text = String(repeating: "The other thing in the hat, another 12 times over; ", count: 30)
    let converted = try ArchitectureModel.convert(
      checkpoint, named: "\(checkpoint.name)-calibrated",
      options: QuantizationOptions(bits: 4, recipe: .best, calibration: .text(text)))
    let prompt = try #require(converted.reference.texts.first)
    let rows = try converted.rows(prompt, chunks: [prompt.length])
    let exact = try ArchitectureModel.converted(checkpoint, bits: 16)
      .rows(prompt, chunks: [prompt.length])
    let divergence = ArchitectureFindings.mean(
      zip(exact, rows).map { ArchitectureFindings.divergence($0, $1) })
    let findings = try ArchitectureFindings.of(checkpoint)
    #expect(findings.isNear(divergence), "\(divergence), \(findings)")
  }
}
