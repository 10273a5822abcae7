import EmberEvaluation
import Foundation
import Testing

/// What people and programs read: keys and tables that stay as they are.
struct ReportTests {
  private static func keys(_ value: some Encodable) throws -> [String: Any] {
    let data = try JSONEncoder().encode(value)
    return try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
  }

  @Test("the keys of a perplexity")
  func perplexityKeys() throws {
    let folder = try TemporaryFolder()
    let evaluator = try PerplexityTests.evaluator(TinyModel.make(.uniform, in: folder))
    let result = try Self.keys(
      evaluator.evaluate(ids: PerplexityTests.ids(20), protocol: .papers(context: 8)))
    #expect(
      result.keys.sorted() == [
        "begin_of_sequence", "bits_per_byte", "context", "first_scored", "maximum_windows",
        "mean_negative_log_likelihood", "perplexity", "perplexity_standard_error", "protocol",
        "stride", "text", "text_bytes", "text_sha256", "tokens_in_text", "tokens_per_second",
        "tokens_scored", "windows", "word_perplexity", "words_scored",
      ])
    #expect(result["protocol"] as? String == "papers")
    #expect(result["tokens_in_text"] as? Int == 20)
    #expect(result["text"] is NSNull)
  }

  @Test("the keys of a comparison, the same for every model")
  func comparisonKeys() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.random(seed: 1), in: folder)
    let comparison = try Self.keys(
      ModelComparison(models: [model, model]).compare(
        text: "abc abc de", named: "a.txt", protocol: .papers(context: 8)))
    #expect(
      comparison.keys.sorted() == [
        "begin_of_sequence", "cache_bits", "context", "first_scored", "maximum_windows", "models",
        "protocol", "recommendation", "stride", "text", "text_bytes", "text_sha256",
        "tokens_in_text",
        "tokens_scored", "windows",
      ])
    let recommendation = try #require(comparison["recommendation"] as? [String: Any])
    #expect(recommendation.keys.sorted() == ["file", "sentence"])
    #expect(recommendation["file"] as? String == model.file.path.string)
    let models = try #require(comparison["models"] as? [[String: Any]])
    #expect(models.count == 2)
    for row in models {
      #expect(
        row.keys.sorted() == [
          "bits_per_weight", "cache_key_bits", "cache_value_bits", "file", "file_bits_per_weight",
          "file_bytes", "kl_divergence_max",
          "kl_divergence_mean", "kl_divergence_median", "kl_divergence_p99",
          "on_pareto_front", "peak_memory_bytes", "perplexity", "perplexity_change_error_percent",
          "perplexity_change_percent", "perplexity_standard_error",
          "probability_change_mean_percent", "probability_change_rms_percent",
          "tokens_per_second", "top_token_agreement",
        ])
    }
    #expect(models[0]["kl_divergence_mean"] is NSNull)
    #expect(models[1]["kl_divergence_mean"] as? Double == 0)
  }

  @Test("a protocol survives JSON")
  func protocolRoundTrip() throws {
    for maximum in [nil, 3] {
      let windows = PerplexityProtocol(
        name: "mine", context: 9, stride: 4, firstScored: 2, addsBeginOfSequence: true,
        maximumWindows: maximum)
      let data = try JSONEncoder().encode(windows)
      #expect(try JSONDecoder().decode(PerplexityProtocol.self, from: data) == windows)
    }
  }

  @Test("tables are aligned in both styles")
  func tables() {
    let table = TextTable(
      header: ["model", "MB", "KL"],
      rows: [["a|b", "1234.5", "–"], ["model.q4\n", "7", "0.01", "beyond"], ["short"]])
    #expect(
      table.rendered(as: .terminal) == """
        model           MB    KL
        ----------  ------  ----
        a|b         1234.5     –
        model.q4\\n       7  0.01
        short

        """)
    #expect(
      table.rendered(as: .markdown) == """
        | model      |     MB |   KL |
        | ---------- | -----: | ---: |
        | a\\|b       | 1234.5 |    – |
        | model.q4\\n |      7 | 0.01 |
        | short      |        |      |

        """)
  }

  @Test("a comparison shows what is known")
  func comparisonTable() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.uniform, in: folder, named: "model.f16")
    var comparison = try ModelComparison(models: [model, model]).compare(
      ids: PerplexityTests.ids(20), protocol: .papers(context: 8))
    #expect(comparison.table.header.count == 11)
    #expect(comparison.table.rows[0][0] == "model.f16")
    #expect(comparison.table.rows[0][4].hasPrefix("270.0000 ± 0.0000"))
    #expect(comparison.table.rows[0][5...] == ["–", "–", "–", "–", "–", "–"])
    #expect(
      comparison.table.rows[1][5...] == [
        "+0.00 ± 0.00 %", "0.00000", "0.00000", "0.00000", "0.00000", "100.00 %",
      ])
    comparison.rows[0].tokensPerSecond = 12.34
    comparison.rows[1].peakMemoryBytes = 4_560_000
    #expect(comparison.table.header[11...] == ["tokens/s", "peak MB"])
    #expect(comparison.table.rows.map { Array($0[11...]) } == [["12.3", "–"], ["–", "4.56"]])
  }
}
