import Ember
import EmberKernels
import EmberTestSupport
import Foundation
import Testing

/// T5, Flan-T5 and Marian against transformers, on tiny random checkpoints.
@Suite("Encoder–decoders", .serialized)
struct EncoderDecoderTests {
  /// Keys and values are rounded to halves here and not there: half a unit in the last place of a
  /// half is 2⁻¹² of a value, which some layers of such values and logits of up to 10 show as this.
  private static let tolerance: Float = 4e-3

  @Test("the encoder's output is that of transformers", arguments: EncoderDecoderFixture.names)
  func encoder(_ name: String) throws {
    let fixture = try EncoderDecoderFixture(name)
    let session = try InferenceSession(model: try fixture.converted().model, threads: 2)
    var output: [Float] = []
    try session.encode(fixture.expected.source) { vectors in
      for t in 0..<vectors.tokens {
        output += UnsafeBufferPointer(start: vectors.vector(t), count: vectors.columns)
      }
    }
    let difference = EncoderDecoderFixture.largestDifference(output, fixture.expected.encoded)
    #expect(difference < Self.tolerance, "\(difference)")
  }

  @Test("logits are those of transformers", arguments: EncoderDecoderFixture.names)
  func logits(_ name: String) throws {
    let fixture = try EncoderDecoderFixture(name)
    let session = try InferenceSession(model: try fixture.converted().model, threads: 2)
    let rows = try fixture.rows(session)
    let difference = EncoderDecoderFixture.largestDifference(
      Array(rows.joined()), fixture.expected.logits)
    #expect(difference < Self.tolerance, "\(difference)")
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
    try session.encode(Array(fixture.expected.source.reversed() + fixture.expected.source))
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
    let lengths = [1, 20, target.count]
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
    try session.encode(fixture.expected.source)
    var ids = [fixture.expected.greedy[0]]
    while ids.count < fixture.expected.greedy.count {
      let logits = try session.append(Array(ids.suffix(1)))
      for token in suppressed { logits[token] = -.infinity }
      let best = logits.indices.max { logits[$0] < logits[$1] } ?? 0
      ids.append(Int32(best))
    }
    #expect(ids == fixture.expected.greedy)
  }

  @Test("8 and 4 bits stay near", arguments: EncoderDecoderFixture.names)
  func quantized(_ name: String) throws {
    let fixture = try EncoderDecoderFixture(name)
    let exact = try fixture.rows(InferenceSession(model: try fixture.converted().model))
    let size = (exact.joined().reduce(0) { $0 + $1 * $1 } / Float(exact.joined().count))
      .squareRoot()
    for (bits, limit) in [(8, Float(0.03)), (6, 0.1), (4, 0.4)] {
      let model = try fixture.converted(bits: bits).model
      let rows = try fixture.rows(InferenceSession(model: model))
      let squares = zip(rows.joined(), exact.joined()).reduce(Float(0)) {
        $0 + ($1.0 - $1.1) * ($1.0 - $1.1)
      }
      let error = (squares / Float(exact.joined().count)).squareRoot() / size
      #expect(error < limit, "\(bits) bits: \(error)")
    }
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

  @Test("streamed weights give the mapped ones' bits", arguments: EncoderDecoderFixture.names)
  func streams(_ name: String) throws {
    let fixture = try EncoderDecoderFixture(name)
    for bits in [16, 4] {
      let model = try fixture.converted(bits: bits).model
      let mapped = try fixture.rows(InferenceSession(model: model))
      func plan(_ budget: Int) throws(ModelError) -> MemoryPlan {
        try MemoryPlan(
          model.inventory, model.architecture,
          MemoryRequest(budget: .bytes(budget), context: .positions(64), isForced: true),
          resident: 0, name: "model")
      }
      let least = try plan(0)
      for share in [0, 0.5] {
        let plan = try plan(
          least.totalBytes + Int(share * Double(model.inventory.matrixBytes)))
        #expect(plan.weights == .streamed && plan.streamedBytes > 0)
        let session = try InferenceSession(model: model, plan: plan, threads: 2)
        for _ in 0..<2 {
          #expect(try fixture.rows(session, chunk: 7) == mapped)
        }
        #expect(session.bytesStreamed > 0)
      }
    }
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
    #expect(throws: ModelError.self) {
      try MemoryPlan(
        model.inventory, model.architecture, MemoryRequest(budget: .bytes(1000)), resident: 0,
        name: "model")
    }
  }
}
