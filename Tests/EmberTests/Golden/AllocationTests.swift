import AllocationCounter
import Ember
import EmberGeneration
import EmberTestSupport
import Foundation
import Testing

// Exit tests came with Swift 6.2. Each of these runs in a process of its own, because the counter
// counts what all threads allocate.
#if compiler(>=6.2)
  @Suite(
    "Heap allocations in steady decode",
    .enabled(
      if: allocation_counter_is_available() != 0,
      "counting needs glibc, whose malloc a program may replace, and no sanitizer"))
  struct AllocationTests {
    @Test("none per step: Llama architecture, any bits, one and two threads")
    func llama() async {
      await #expect(processExitsWith: .success) {
        for bits in [16, 8, 4] {
          try expectNoneInDecode(ConvertedModel.bundled(bits: bits))
        }
        for precision in CachePrecision.allCases {
          try expectNoneInDecode(ConvertedModel.bundled(bits: 4), cachePrecision: precision)
        }
        // Outliers have a kernel path of their own.
        try expectNoneInDecode(ConvertedModel.bundled(bits: 4, outliers: .percent(0.5)))
      }
    }

    @Test("none per step: GPT-2 architecture", .enabled(if: TestData.hasShared))
    func gpt2() async {
      await #expect(processExitsWith: .success) {
        for bits in [16, 8, 4] {
          try expectNoneInDecode(ConvertedModel.shared("novel-gpt2", bits: bits))
        }
      }
    }

    @Test("none per step while weights stream")
    func streaming() async {
      await #expect(processExitsWith: .success) {
        let converted = try ConvertedModel.bundled(bits: 8)
        let plan = try StreamedWeightsTests.plan(converted.model, share: 0.4, context: 512)
        for threads in [1, 2] {
          try expectNoneInDecode(
            InferenceSession(model: converted.model, plan: plan, threads: threads))
        }
      }
    }

    @Test("none per step of a mixture of experts, in memory and streaming")
    func experts() async {
      await #expect(processExitsWith: .success) {
        for checkpoint in ExpertCheckpoint.all {
          let model = try ExpertModel.converted(checkpoint, bits: 8).model
          let plan = try StreamedExpertsTests.plan(model, slots: nil)
          for threads in [1, 2] {
            try expectNoneInDecode(InferenceSession(model: model, threads: threads))
            try expectNoneInDecode(InferenceSession(model: model, plan: plan, threads: threads))
          }
        }
      }
    }

    @Test("none per step of several sequences")
    func parallel() async {
      await #expect(processExitsWith: .success) {
        let model = try ConvertedModel.bundled(bits: 4).model
        for threads in [1, 2] {
          let session = try ParallelSession(
            model: model, sequences: 3, threads: threads, stepCapacity: 32)
          var additions = (0..<3).map {
            ParallelSession.Addition(
              sequence: $0, tokens: [Int32($0 + 1), 2, 3], wantsLogits: $0 != 1)
          }
          // The last sequence takes chunks, the others a token at a time, out of step.
          additions[0].tokens = [1]
          additions[1].tokens = [2]
          func decode() throws {
            for i in 0..<20 {
              additions[0].tokens[0] = Int32(i + 7)
              _ = try session.append(additions)
            }
          }
          try decode()
          let count = try allocations(decode)
          #expect(count == 0, "\(count): \(threads) threads")
        }
      }
    }

    @Test("none per sampled token, whatever the options")
    func sampling() async {
      await #expect(processExitsWith: .success) {
        var noise = SplitMix64(seed: 1)
        var logits = randomLogits(30_000, &noise)
        let history = (0..<500).map { Int32($0) }
        var all = SamplerTests.filters + ProcessorTests.variants
        all.append(SamplingOptions(temperature: 1, topK: 10_000, topP: 0.9, minP: 0))
        for options in all {
          var sampler = Sampler(options: options, seed: 2)
          try logits.withUnsafeMutableBufferPointer { logits in
            _ = try sampler.next(logits, history: history)
            let count = try allocations {
              for _ in 0..<64 { _ = try sampler.next(logits, history: history) }
            }
            #expect(count == 0, "\(options)")
          }
        }
      }
    }

    @Test("a token that is guessed ahead costs none either: look-up and a draft model")
    func speculation() async {
      await #expect(processExitsWith: .success) {
        let model = try ConvertedModel.bundled(bits: 4)
        let small = try ConvertedModel.bundled(bits: 8)
        for threads in [1, 2] {
          for usesDraft in [false, true] {
            func generator() throws -> TextGenerator {
              let draft = try DraftModel(
                session: InferenceSession(model: small.model, threads: threads),
                target: model.model)
              return TextGenerator(
                model: model.model, tokenizer: model.tokenizer,
                session: try InferenceSession(model: model.model, threads: threads),
                speculation: SpeculationTests.eager(draft: usesDraft ? draft : nil))
            }
            let generators = [try generator(), try generator()]
            func count(_ tokens: Int, _ generator: TextGenerator) throws -> UInt64 {
              var drafted = 0
              let options = TextGenerator.Options(
                maximumTokens: tokens, sampling: SamplingOptions(temperature: 0.3), seed: 1,
                stopsAtEndOfSequence: false)
              let count = try allocations {
                let result = try generator.generate(prompt: "It was", options: options) { _ in }
                drafted = result.speculation?.draftedTokens ?? 0
              }
              #expect(drafted > 20)
              return count
            }
            // As above: texts grow, buffers are made once per text.
            let (few, many) = (try count(100, generators[0]), try count(436, generators[1]))
            #expect(
              many <= few + 20,
              "\(few) for 100 tokens, \(many) for 436, \(threads) threads, draft \(usesDraft)")
          }
        }
      }
    }

    @Test("a generated token costs none but for the growing text")
    func generation() async {
      await #expect(processExitsWith: .success) {
        let converted = try ConvertedModel.bundled(bits: 4)
        for threads in [1, 2] {
          let session = try InferenceSession(model: converted.model, threads: threads)
          let generator = TextGenerator(
            model: converted.model, tokenizer: converted.tokenizer, session: session)
          func count(_ tokens: Int) throws -> UInt64 {
            let options = TextGenerator.Options(
              maximumTokens: tokens, seed: 1, stopsAtEndOfSequence: false)
            return try allocations {
              _ = try generator.generate(prompt: "It was", options: options) { _ in }
            }
          }
          // The text doubles its room, and a piece of more than 15 bytes is a string on the heap:
          // `difference` tokens more cost no allocation each.
          let (few, many) = (try count(64), try count(400))
          #expect(many <= few + 16, "\(few) for 64 tokens, \(many) for 400, \(threads) threads")
        }
      }
    }
  }

  /// The least of three counts: now and then another thread of the process has something to do.
  private func allocations(_ body: () throws -> Void) rethrows -> UInt64 {
    var least = UInt64.max
    for _ in 0..<3 {
      allocation_counter_start()
      defer { least = min(least, allocation_counter_stop()) }
      try body()
    }
    return least
  }

  private func expectNoneInDecode(
    _ converted: ConvertedModel, cachePrecision: CachePrecision = .half
  ) throws {
    for threads in [1, 2] {
      try expectNoneInDecode(
        InferenceSession(
          model: converted.model, threads: threads, cachePrecision: cachePrecision))
    }
  }

  private func expectNoneInDecode(_ session: InferenceSession) throws {
    _ = try session.append([1, 2, 3])
    // An array that a caller keeps; the step allocates nothing of its own.
    var token: [Int32] = [5]
    func decode() throws {
      for i in 0..<64 {
        token[0] = Int32(i + 7)
        _ = try session.append(token)
      }
    }
    // Dispatch starts its threads once.
    try decode()
    let count = try allocations(decode)
    #expect(
      count == 0, "\(count): \(session.model.file.path), \(session.threadCount) threads")
  }
#endif
