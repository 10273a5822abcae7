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

    @Test("none per sampled token, whatever the options")
    func sampling() async {
      await #expect(processExitsWith: .success) {
        var noise = SplitMix64(seed: 1)
        var logits = randomLogits(30_000, &noise)
        let history = (0..<500).map { Int32($0) }
        var all = SamplerTests.filters
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
      let session = try InferenceSession(
        model: converted.model, threads: threads, cachePrecision: cachePrecision)
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
      #expect(count == 0, "\(count): \(converted.model.file.path), \(threads) threads")
    }
  }
#endif
