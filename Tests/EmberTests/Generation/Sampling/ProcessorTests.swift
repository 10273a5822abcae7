import EmberGeneration
import Foundation
import Testing

/// Processors and filters against transformers' on the same logits.
struct ProcessorTests {
  /// Everything that is not in `SamplerTests.filters`.
  static let variants: [SamplingOptions] = {
    func plain(_ change: (inout SamplingOptions) -> Void) -> SamplingOptions {
      var options = SamplingOptions.plain
      change(&options)
      return options
    }
    return [
      plain { $0.typicalP = 0.9 },
      plain {
        $0.typicalP = 0.5
        $0.topK = 50
        $0.topP = 0.9
        $0.temperature = 0.7
      },
      plain { $0.mirostat = .init(targetSurprise: 4) },
      plain {
        $0.presencePenalty = 0.5
        $0.frequencyPenalty = 0.25
      },
      plain { $0.noRepeatNGram = 3 },
      plain { $0.logitBias = [.init(id: 3, value: 2), .init(id: 4, value: -.infinity)] },
    ]
  }()

  private static func options(
    _ name: String, _ value: Float, temperature: Float = 1
  ) -> SamplingOptions? {
    var options = SamplingOptions.plain
    options.temperature = temperature
    options.repetitionWindow = .max
    switch name {
    case "repetition_penalty": options.repetitionPenalty = value
    case "no_repeat_ngram": options.noRepeatNGram = Int(value)
    case "logit_bias": options.logitBias = [.init(id: 3, value: 2.5), .init(id: 7, value: -4)]
    case "top_k": options.topK = Int(value)
    case "top_p": options.topP = value
    case "min_p": options.minP = value
    case "typical_p": options.typicalP = value
    default: return nil
    }
    return options
  }

  @Test("processors change logits as transformers' do")
  func processed() throws {
    for fixture in try DecodingFixtures.load().processors {
      for expected in fixture.processed {
        let options = try #require(Self.options(expected.name, expected.value))
        try options.validate()
        var sampler = Sampler(options: options, seed: 1)
        var logits = fixture.logits
        logits.withUnsafeMutableBufferPointer { sampler.process($0, history: fixture.history) }
        let forbidden = logits.indices.filter { logits[$0] == -.infinity }
        #expect(forbidden == expected.forbidden, "\(expected.name) \(expected.value)")
        for i in logits.indices where logits[i] > -.infinity {
          #expect(abs(logits[i] - expected.logits[i]) < 1e-5, "\(expected.name) \(i)")
        }
      }
    }
  }

  @Test("filters keep the tokens that transformers' keep, with their probabilities")
  func kept() throws {
    var count = 0
    for fixture in try DecodingFixtures.load().processors {
      for expected in fixture.kept {
        let options = try #require(
          Self.options(expected.name, expected.value, temperature: expected.temperature))
        var sampler = Sampler(options: options, seed: 1)
        var logits = fixture.logits
        let all = try logits.withUnsafeMutableBufferPointer {
          try sampler.distribution($0, history: [])
        }
        // Less probable than e^−26 is never drawn.
        let found = all.filter { $0.probability > 1e-9 }
        let pairs = zip(expected.ids, expected.probabilities).filter { $0.1 > 1e-9 }
        #expect(found.map(\.id) == pairs.map(\.0), "\(expected)")
        for (mine, other) in zip(found, pairs) {
          #expect(abs(mine.probability - other.1) < 1e-5, "\(expected.name) \(mine.id)")
        }
        count += 1
      }
    }
    #expect(count == 3 * 3 * 13)
  }

  @Test("presence and frequency penalty follow OpenAI's formula, on sampled tokens only")
  func presenceAndFrequency() {
    var options = SamplingOptions.plain
    options.presencePenalty = 0.75
    options.frequencyPenalty = 0.5
    var sampler = Sampler(options: options, seed: 1, promptLength: 3)
    let history: [Int32] = [0, 0, 5, 1, 2, 1, 1, 9, -1]
    for _ in 0..<2 {
      var logits: [Float] = [1, 1, 1, 1, 1, 1]
      logits.withUnsafeMutableBufferPointer { sampler.process($0, history: history) }
      // 1 − 0.75 − 3 · 0.5 and 1 − 0.75 − 0.5
      #expect(logits == [1, -1.25, -0.25, 1, 1, 1] as [Float])
    }
  }

  @Test("all that is forbidden leaves no token, which is an error of its own")
  func nothingLeft() throws {
    var options = SamplingOptions.greedy
    options.noRepeatNGram = 1
    var sampler = Sampler(options: options, seed: 1)
    #expect(throws: GenerationError.noTokenPossible(position: 2)) {
      try sampler.next([1, 2], history: [0, 1])
    }
    #expect(try sampler.next([1, 2, 0], history: [0, 1]) == 2)
  }

  @Test("every order of steps composes: what is drawn was kept by all of them")
  func composed() throws {
    var noise = SplitMix64(seed: 5)
    for round in 0..<60 {
      let logits = randomLogits(500, &noise, spread: 8)
      let history = (0..<40).map { _ in Int32(noise.next() % 30) }
      var options = SamplingOptions(temperature: 1.1, topK: 60, topP: 0.9, minP: 0.01)
      options.typicalP = 0.8
      options.repetitionPenalty = 1.2
      options.presencePenalty = 0.3
      options.frequencyPenalty = 0.1
      options.noRepeatNGram = 2
      options.logitBias = [.init(id: 1, value: -.infinity)]
      try options.validate()
      var all = Sampler(options: options, seed: UInt64(round), promptLength: 10)
      let id = try all.next(logits, history: history)
      for single in [
        SamplingOptions(temperature: 1.1, topK: 60, topP: 1, minP: 0),
        SamplingOptions(temperature: 1.1, topK: 0, topP: 1, minP: 0.01),
      ] {
        var options = options
        (options.topK, options.topP) = (single.topK, single.topP)
        (options.minP, options.typicalP) = (single.minP, 1)
        var copy = logits
        var one = Sampler(options: options, seed: 0, promptLength: 10)
        let kept = try copy.withUnsafeMutableBufferPointer {
          try one.distribution($0, history: history)
        }
        #expect(kept.contains { $0.id == id })
      }
    }
  }

  @Test("values that make no sense are refused by name")
  func hostileOptions() {
    func refused(_ name: String, _ change: (inout SamplingOptions) -> Void) {
      var options = SamplingOptions()
      change(&options)
      let error = #expect(throws: GenerationError.self) { try options.validate() }
      #expect(error?.description.hasPrefix("\(name): expected ") == true, "\(name)")
      var sampler = Sampler(options: options, seed: 1)
      _ = try? sampler.next([1, 2, 3], history: [1, 1, 1])
    }
    refused("typical-p") { $0.typicalP = 0 }
    refused("typical-p") { $0.typicalP = .nan }
    refused("presence-penalty") { $0.presencePenalty = .infinity }
    refused("frequency-penalty") { $0.frequencyPenalty = .nan }
    refused("no-repeat-ngram") { $0.noRepeatNGram = -1 }
    refused("no-repeat-ngram") { $0.noRepeatNGram = 65 }
    refused("logit-bias") { $0.logitBias = [.init(id: -1, value: 0)] }
    refused("logit-bias") { $0.logitBias = [.init(id: 0, value: .nan)] }
    refused("logit-bias") { $0.logitBias = [.init(id: 0, value: .infinity)] }
    refused("mirostat") { $0.mirostat = .init(targetSurprise: 0) }
    refused("mirostat-rate") { $0.mirostat = .init(learningRate: .nan) }
  }
}
