import Ember
import EmberKernels
import EmberTestSupport
import Foundation
import Testing

/// T5, Flan-T5 and Marian against transformers, on tiny random checkpoints.
@Suite("Encoder–decoders", .serialized)
struct EncoderDecoderTests {
  @Test("converts, and every tensor finds its place", arguments: EncoderDecoderFixture.names)
  func converts(_ name: String) throws {
    let findings = try EncoderDecoderFindings.of(name)
    #expect(findings.converts)
  }

  @Test("encoder and logits are those of transformers", arguments: EncoderDecoderFixture.names)
  func logits(_ name: String) throws {
    let findings = try EncoderDecoderFindings.of(name)
    #expect(findings.encoder.agrees, "\(findings)")
    #expect(findings.decoder.agrees, "\(findings)")
    // The reference is worth something: no row is nearly uniform.
    #expect(findings.information > 0.4, "\(findings)")
  }

  @Test("odd chunks and single tokens give the same bits", arguments: EncoderDecoderFixture.names)
  func decoding(_ name: String) throws {
    let findings = try EncoderDecoderFindings.of(name)
    #expect(findings.decodeMatches)
  }

  @Test("8 and 4 bits stay near", arguments: EncoderDecoderFixture.names)
  func quantized(_ name: String) throws {
    let findings = try EncoderDecoderFindings.of(name)
    #expect(findings.q8 && findings.q4, "\(findings)")
  }

  @Test("streamed weights give the mapped ones' bits", arguments: EncoderDecoderFixture.names)
  func streams(_ name: String) throws {
    let findings = try EncoderDecoderFindings.of(name)
    #expect(findings.streams)
  }

  @Test("any chunks and threads give the same bits", arguments: EncoderDecoderFixture.names)
  func chunks(_ name: String) throws {
    let fixture = try EncoderDecoderFixture(name)
    for bits in [16, 8, 4] {
      let model = try fixture.converted(bits: bits).model
      for precision in [CachePrecision.half, .int8] {
        func rows(_ threads: Int, _ chunk: Int) throws -> [[UInt32]] {
          let session = try InferenceSession(
            model: model, threads: threads, cachePrecision: precision)
          return try fixture.rows(session, chunk: chunk).map { $0.map(\.bitPattern) }
        }
        let whole = try rows(1, 100)
        #expect(try rows(2, 1) == whole)
        #expect(try rows(3, 17) == whole)
      }
    }
  }

  @Test("every set of kernels gives the same bits", arguments: EncoderDecoderFixture.names)
  func kernels(_ name: String) throws {
    let fixture = try EncoderDecoderFixture(name)
    let model = try fixture.converted(bits: 8).model
    let expected = try fixture.rows(InferenceSession(model: model, kernels: .scalar))
    for kernels in Kernels.available {
      let rows = try fixture.rows(InferenceSession(model: model, kernels: kernels))
      #expect(
        rows.map { $0.map(\.bitPattern) } == expected.map { $0.map(\.bitPattern) },
        "\(kernels.name)")
    }
  }

  @Test("a session takes one source after another", arguments: EncoderDecoderFixture.names)
  func anotherSource(_ name: String) throws {
    let fixture = try EncoderDecoderFixture(name)
    let model = try fixture.converted().model
    let session = try InferenceSession(model: model)
    let first = try fixture.rows(session)
    try session.encode(Array(fixture.expected.source.reversed()))
    #expect(session.position == 0)
    let other = try session.append([fixture.expected.target[0]]).map { $0 }
    #expect(other != first[0])
    #expect(try fixture.rows(session) == first)
  }

  @Test("sequences side by side answer the same source", arguments: EncoderDecoderFixture.names)
  func parallel(_ name: String) throws {
    let fixture = try EncoderDecoderFixture(name)
    let model = try fixture.converted().model
    let expected = try fixture.rows(InferenceSession(model: model))
    let session = try ParallelSession(model: model, sequences: 3)
    try session.encode(fixture.expected.source)
    let target = fixture.expected.target
    // Each at another place.
    let lengths = [1, 20, 100]
    let logits = try session.append(
      lengths.enumerated().map {
        .init(sequence: $0, tokens: Array(target[..<$1]), wantsLogits: true)
      })
    for (index, length) in lengths.enumerated() {
      #expect(Array(logits[index]) == expected[length - 1])
    }
  }

  @Test("greedy decoding gives the ids of transformers", arguments: EncoderDecoderFixture.names)
  func greedy(_ name: String) throws {
    let fixture = try EncoderDecoderFixture(name)
    let model = try fixture.converted().model
    let session = try InferenceSession(model: model)
    let suppressed = model.architecture.suppressedTokens ?? []
    try session.encode(Array(fixture.expected.source.prefix(fixture.expected.greedyLength)))
    var ids = [fixture.expected.greedy[0]]
    while ids.count < fixture.expected.greedy.count {
      let logits = try session.append(Array(ids.suffix(1)))
      for token in suppressed { logits[token] = -.infinity }
      let best = logits.indices.max { logits[$0] < logits[$1] } ?? 0
      ids.append(Int32(best))
    }
    #expect(ids == fixture.expected.greedy)
  }

  @Test("all matrices have the type that was asked for", arguments: EncoderDecoderFixture.names)
  func types(_ name: String) throws {
    let fixture = try EncoderDecoderFixture(name)
    let file = try fixture.converted(bits: 8).model.file
    for tensor in file.tensors {
      let isVector = tensor.layout.rows == 1
      #expect(tensor.layout.type == (isVector ? .f32 : .q8), "\(tensor.name)")
    }
    #expect(file.tensors.contains { $0.name == "encoder.layers.2.attention.query.weight" })
    #expect(file.tensors.contains { $0.name == "layers.1.cross_attention.value.weight" })
  }

  @Test("a plan counts encoder, source and cross attention")
  func plan() throws {
    let fixture = try EncoderDecoderFixture("flan-t5")
    let model = try fixture.converted().model
    let plan = try MemoryPlan(for: model, MemoryRequest(budget: .unlimited))
    let weights = model.file.tensors.reduce(0) { $0 + $1.byteCount }
    #expect(plan.mappedBytes == weights)
    #expect(model.inventory.encoderBytes > 0)
    #expect(
      model.weightBytesPerToken < weights - model.inventory.encoderBytes)
    let session = try InferenceSession(model: model, plan: plan)
    #expect(session.cacheCapacityBytes == plan.cacheBytes)
    let decoder = session.cacheBytes
    try session.encode(fixture.expected.source)
    #expect(decoder == 0 && session.cacheBytes > 0)
    #expect(
      plan.cacheBytes(of: model.architecture, positions: 320, precision: .half)
        == plan.cacheBytes)
    #expect(throws: ModelError.self) {
      try MemoryPlan(
        model.inventory, model.architecture, MemoryRequest(budget: .bytes(1000)), resident: 0,
        name: "model")
    }
  }
}
