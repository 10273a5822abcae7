import EmberGeneration
import EmberModel
import EmberTokenizer
import Foundation
import Testing

struct BeamSearchTests {
  /// log p after a token, as the search takes it.
  private static func logProbabilities(_ logits: [Float]) -> [Float] {
    let largest = Double(logits.max() ?? 0)
    let sum = logits.reduce(0.0) { $0 + exp(Double($1) - largest) }
    return logits.map { Float(Double($0) - largest - log(sum)) }
  }

  @Test("tables of logits: the sequences and scores of transformers' beam search")
  func tables() throws {
    var compared = 0
    for table in try DecodingFixtures.load().tables {
      let rows = table.table.map(Self.logProbabilities)
      for run in table.runs where run.numBeams > 1 {
        let early = try #require(
          BeamSearchOptions.EarlyStopping(rawValue: run.earlyStopping ?? "false"))
        let options = BeamSearchOptions(
          beams: run.numBeams, lengthPenalty: run.lengthPenalty ?? 1, earlyStopping: early,
          returned: run.numBeams)
        var sampling = SamplingOptions.greedy
        sampling.repetitionPenalty = run.repetitionPenalty ?? 1
        sampling.repetitionWindow = .max
        sampling.noRepeatNGram = run.noRepeatNgramSize ?? 0
        var sampler = Sampler(options: sampling, seed: 0)
        var search = BeamSearch(options, maximumTokens: run.maxNewTokens, endTokens: table.ends)
        while !search.isDone {
          search.advance(
            search.running.map { beam in
              let history = table.prompt + beam.ids
              var row = rows[Int(history.last ?? 0)]
              row.withUnsafeMutableBufferPointer { sampler.process($0, history: history) }
              return row
            })
        }
        let found = search.best
        let finished = found.filter(\.isFinished)
        // What never ended is not handed out; transformers pads it.
        let expected = Array(zip(run.ids, run.scores).filter { $0.1 > -1e8 })
        #expect(finished.map(\.ids) == expected.map(\.0), "\(run)")
        for (mine, other) in zip(finished, expected) {
          #expect(abs(Double(mine.score) - other.1) < 1e-4 * max(1, abs(other.1)))
        }
        compared += finished.count
      }
    }
    #expect(compared > 150)
  }

  private static func generator(_ model: Model, sequences: Int) throws -> BeamGenerator {
    BeamGenerator(
      model: model, tokenizer: try Tokenizer(serialized: model.file.tokenizer),
      session: try ParallelSession(model: model, sequences: sequences, threads: 2))
  }

  @Test("one beam is greedy text, whatever the number of sequences")
  func oneBeam() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.random(seed: 3), in: folder, type: .q8)
    var options = TextGenerator.Options(maximumTokens: 20, sampling: .greedy, seed: 1)
    options.stopsAtEndOfSequence = false
    let greedy = try TextGenerator(
      model: model, tokenizer: try Tokenizer(serialized: model.file.tokenizer),
      session: try InferenceSession(model: model, threads: 1)
    ).generate(prompt: "abc de", options: options) { _ in }
    for sequences in [1, 3] {
      let texts = try Self.generator(model, sequences: sequences).generate(
        prompt: "abc de", search: .init(beams: 1), options: options)
      #expect(texts.map(\.ids) == [greedy.ids])
    }
  }

  @Test("caches that are taken over give the scores of a text computed alone")
  func scores() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.random(seed: 4), in: folder, type: .q8)
    let tokenizer = try Tokenizer(serialized: model.file.tokenizer)
    var options = TextGenerator.Options(maximumTokens: 24, sampling: .greedy, seed: 1)
    options.stopTokens = [60, 61]
    let search = BeamSearchOptions(beams: 5, lengthPenalty: 0.5, returned: 5)
    let texts = try Self.generator(model, sequences: 6).generate(
      prompt: "abc de", search: search, options: options)
    #expect(texts.count == 5)
    #expect(Set(texts.map(\.ids)).count == 5)
    #expect(texts.map(\.score) == texts.map(\.score).sorted(by: >))
    let prompt = tokenizer.encode("abc de")
    for text in texts where text.stopReason == .maximumTokens {
      let session = try InferenceSession(model: model, threads: 1)
      var sum = 0.0
      try session.append(prompt + text.ids) { index, logits in
        let next = index + 1 - prompt.count
        guard next >= 0, next < text.ids.count else { return }
        sum += Double(Self.logProbabilities(Array(logits))[Int(text.ids[next])])
      }
      let expected = sum / pow(Double(text.ids.count), 0.5)
      #expect(abs(text.score - expected) < 1e-3)
    }
  }

  @Test("what makes no sense is refused")
  func errors() throws {
    let folder = try TemporaryFolder()
    let generator = try Self.generator(TinyModel.make(.uniform, in: folder), sequences: 2)
    let options = TextGenerator.Options(maximumTokens: 3, sampling: .greedy, seed: 1)
    for search in [
      BeamSearchOptions(beams: 0), BeamSearchOptions(beams: 3),
      BeamSearchOptions(beams: 2, returned: 3), BeamSearchOptions(beams: 2, lengthPenalty: .nan),
    ] {
      #expect(throws: GenerationError.self) {
        try generator.generate(prompt: "a", search: search, options: options)
      }
    }
    var stops = options
    stops.stopStrings = ["x"]
    #expect(throws: GenerationError.self) {
      try generator.generate(prompt: "a", search: .init(beams: 2), options: stops)
    }
  }
}
