import EmberEvaluation
import EmberGeneration
import EmberModel
import EmberTokenizer
import Foundation
import Testing

struct ComparisonTests {
  private static let windows = PerplexityProtocol(context: 40, stride: 24, firstScored: 6)

  @Test("a model compared with itself is at distance zero, exactly")
  func itself() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.random(seed: 1), in: folder, type: .q8)
    let copy = try TinyModel.make(.random(seed: 1), in: folder, named: "copy", type: .q8)
    let result = try ModelComparison(models: [model, model, copy], threads: 2).compare(
      ids: PerplexityTests.ids(100), protocol: Self.windows)
    #expect(result.rows.count == 3)
    #expect(result.rows[0].divergence == nil)
    for row in result.rows.dropFirst() {
      #expect(row.perplexity == result.rows[0].perplexity)
      let divergence = try #require(row.divergence)
      let distances = [
        divergence.perplexityChangePercent, divergence.perplexityChangeErrorPercent,
        divergence.mean, divergence.median, divergence.percentile99, divergence.maximum,
        divergence.probabilityChangeMeanPercent, divergence.probabilityChangeRMSPercent,
      ]
      #expect(distances == [Double](repeating: 0, count: 8))
      #expect(divergence.topTokenAgreementPercent == 100)
    }
  }

  @Test("each model once per cache precision; the files are judged by the first of them")
  func cachePrecisions() throws {
    let folder = try TemporaryFolder()
    let models = try [1, 2].map {
      try TinyModel.make(.random(seed: $0), in: folder, named: "model\($0)")
    }
    let ids = PerplexityTests.ids(100)
    let together = try ModelComparison(models: models, cachePrecisions: [.int8, .half]).compare(
      ids: ids, protocol: Self.windows)
    #expect(together.rows.map(\.cachePrecision) == [.int8, .half, .int8, .half])
    #expect(together.rows.map(\.file) == [0, 0, 1, 1].map { models[$0].file.path.string })
    for (first, precision) in [CachePrecision.int8, .half].enumerated() {
      let apart = try ModelComparison(models: models, cachePrecisions: [precision]).compare(
        ids: ids, protocol: Self.windows)
      #expect(
        apart.rows.map(\.perplexity) == [first, first + 2].map { together.rows[$0].perplexity })
      if precision == .int8 {
        #expect(apart.rows[1].divergence == together.rows[2].divergence)
        #expect(apart.recommendation.sentence == together.recommendation.sentence)
        #expect([0, 2].contains(together.recommendation.index))
      }
      #expect(!apart.rendered(as: .terminal).contains("cache"))
    }
    #expect(together.rendered(as: .terminal).contains("cache"))
    #expect(together.rows[1].divergence?.mean != 0)
    #expect(throws: EvaluationError.self) {
      try ModelComparison(models: models, cachePrecisions: [])
    }
  }

  @Test("distances are those of logits computed apart")
  func apart() throws {
    let folder = try TemporaryFolder()
    let models = try [1, 2].map {
      try TinyModel.make(.random(seed: $0), in: folder, named: "model\($0)")
    }
    let ids = PerplexityTests.ids(40)
    let comparison = try ModelComparison(models: models, threads: 1).compare(
      ids: ids, protocol: .papers(context: 40))

    let logits = try models.map { model in
      var rows: [[Double]] = []
      let session = try InferenceSession(model: model, threads: 1)
      for id in ids.dropLast() {
        let row = try session.append([id]).map(Double.init)
        let sum = log(row.reduce(0) { $0 + exp($1) })
        rows.append(row.map { $0 - sum })
      }
      return rows
    }
    var divergences: [Double] = []
    var changes: [Double] = []
    var agreements = 0.0
    for (i, (p, q)) in zip(logits[0], logits[1]).enumerated() {
      divergences.append(zip(p, q).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) })
      let target = Int(ids[i + 1])
      changes.append(exp(q[target]) - exp(p[target]))
      if p.indices.max(by: { p[$0] < p[$1] }) == q.indices.max(by: { q[$0] < q[$1] }) {
        agreements += 1
      }
    }
    let found = try #require(comparison.rows[1].divergence)
    let n = 39.0
    #expect(abs(found.mean - divergences.reduce(0, +) / n) < 1e-9)
    #expect(abs(found.maximum - (divergences.max() ?? 0)) < 1e-9)
    #expect(abs(found.median - divergences.sorted()[19]) < 1e-9)
    #expect(found.percentile99 <= found.maximum && found.percentile99 > found.median)
    #expect(abs(found.topTokenAgreementPercent - 100 * agreements / n) < 1e-9)
    #expect(abs(found.probabilityChangeMeanPercent - 100 * changes.reduce(0, +) / n) < 1e-9)
    let squares = changes.reduce(0) { $0 + $1 * $1 } / n
    #expect(abs(found.probabilityChangeRMSPercent - 100 * squares.squareRoot()) < 1e-9)
  }

  @Test("perplexities and their change are the evaluator's")
  func sameAsEvaluator() throws {
    let folder = try TemporaryFolder()
    let models = try [1, 2, 3].map {
      try TinyModel.make(.random(seed: $0), in: folder, named: "model\($0)")
    }
    let ids = PerplexityTests.ids(130)
    let comparison = try ModelComparison(models: models, threads: 1).compare(
      ids: ids, protocol: Self.windows)
    let apart = try models.map {
      try PerplexityTests.evaluator($0).evaluate(ids: ids, protocol: Self.windows)
    }
    for (row, result) in zip(comparison.rows, apart) {
      #expect(row.perplexity == result.perplexity)
      #expect(row.perplexityStandardError == result.standardError)
      guard let divergence = row.divergence else { continue }
      let change = PairedChange(
        result.negativeLogLikelihoods, baseline: apart[0].negativeLogLikelihoods)
      #expect(divergence.perplexityChangePercent == change.percent)
      #expect(divergence.perplexityChangeErrorPercent == change.errorPercent)
    }
    #expect(comparison.tokensScored == apart[0].tokensScored)
    #expect(comparison.windows == apart[0].windows)
  }

  @Test("windows with more predictions than logits are kept, several threads: the same")
  func manyRows() throws {
    let folder = try TemporaryFolder()
    let models = try [1, 2].map {
      try TinyModel.make(
        .random(seed: $0), in: folder, named: "model\($0)", type: .q8, contextLength: 200)
    }
    let ids = PerplexityTests.ids(400)
    let expected = try ModelComparison(models: models, threads: 1).compare(
      ids: ids, protocol: .papers(context: 200))
    let found = try ModelComparison(models: models, threads: 3, chunkLength: 7).compare(
      ids: ids, protocol: .papers(context: 200))
    #expect(found.rows[1].divergence == expected.rows[1].divergence)
    #expect(found.rows[1].perplexity == expected.rows[1].perplexity)
    #expect(found.tokensScored == 398)
  }

  @Test("models that cannot be compared are refused")
  func refusals() throws {
    let folder = try TemporaryFolder()
    #expect(throws: EvaluationError.noModels) { try ModelComparison(models: []) }
    let model = try TinyModel.make(.uniform, in: folder)
    let larger = try TinyModel.make(.uniform, in: folder, named: "larger", vocabularySize: 271)
    let path = model.file.path.string
    #expect(
      throws: EvaluationError.vocabulariesDiffer(
        baseline: path, baselineSize: 270, path: larger.file.path.string, size: 271)
    ) { try ModelComparison(models: [model, larger]) }
    let other = try TinyModel.make(.uniform, in: folder, named: "other", tokenizer: [1, 2, 3])
    #expect(
      throws: EvaluationError.tokenizersDiffer(baseline: path, path: other.file.path.string)
    ) { try ModelComparison(models: [model, other]) }
    #expect(throws: TokenizerError.self) {
      try ModelComparison(models: [other]).compare(text: "abc", protocol: Self.windows)
    }
    var begins = Self.windows
    begins.addsBeginOfSequence = true
    #expect(throws: EvaluationError.noBeginOfSequence) {
      try ModelComparison(models: [model]).compare(
        ids: PerplexityTests.ids(100), protocol: begins)
    }
    let damaged = try TinyModel.make(.notFinite, in: folder, named: "damaged")
    #expect(
      throws: EvaluationError.notFinite(path: damaged.file.path.string, window: 0, position: 5)
    ) {
      try ModelComparison(models: [model, damaged]).compare(
        ids: PerplexityTests.ids(100), protocol: Self.windows)
    }
  }
}
