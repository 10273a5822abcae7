import Ember
import EmberTestSupport
import Testing

/// Searches over a real model at 16 bits, against transformers' in fp32.
@Suite(
  "Beam and contrastive search of novel-gpt2",
  .enabled(if: TestData.hasShared, "needs the reference data"))
struct NovelSearchTests {
  @Test("beam search gives transformers' sequences")
  func beams() throws {
    let converted = try ConvertedModel.shared("novel-gpt2", bits: 16)
    for run in try DecodingFixtures.load().novelGPT2.beams {
      let session = try ParallelSession(
        model: converted.model, sequences: run.numBeams, contextLength: 128)
      let returned = run.numReturnSequences ?? run.numBeams
      var options = TextGenerator.Options(
        maximumTokens: run.maxNewTokens, sampling: .greedy, seed: 1)
      options.sampling.noRepeatNGram = run.noRepeatNgramSize ?? 0
      let texts = try BeamGenerator(
        model: converted.model, tokenizer: converted.tokenizer, session: session
      ).generate(
        prompt: run.prompt ?? "",
        search: BeamSearchOptions(
          beams: run.numBeams, lengthPenalty: run.lengthPenalty ?? 1, returned: returned),
        options: options)
      #expect(texts.map(\.ids) == run.ids, "\(run)")
      for (text, score) in zip(texts, run.scores) { #expect(abs(text.score - score) < 2e-3) }
    }
  }

  @Test("contrastive search gives the tokens of the paper's equation")
  func contrastive() throws {
    let converted = try ConvertedModel.shared("novel-gpt2", bits: 16)
    for run in try DecodingFixtures.load().novelGPT2.contrastive {
      let session = try ParallelSession(
        model: converted.model, sequences: run.topK, contextLength: 128)
      var pieces = ""
      let result = try ContrastiveGenerator(
        model: converted.model, tokenizer: converted.tokenizer, session: session
      ).generate(
        prompt: run.prompt, search: .init(candidates: run.topK, penalty: run.alpha),
        options: .init(maximumTokens: run.ids.count, sampling: .greedy, seed: 1)
      ) { pieces += $0 }
      #expect(result.text == pieces)
      // Rounding may decide where two candidates are nearer than half precision tells apart.
      if run.smallestGap > 2e-4 {
        #expect(result.ids == run.ids, "\(run)")
      } else {
        #expect(result.ids.prefix(4) == run.ids.prefix(4), "\(run)")
      }
    }
  }
}
