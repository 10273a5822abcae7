import Ember
import Testing

@Suite("Plan of a benchmark")
struct BenchmarkPlanTests {
  private func resolved(
    context: Int, threads: Int = 2, _ change: (inout BenchmarkPlan) -> Void = { _ in }
  ) throws -> BenchmarkPlan.Resolved {
    var plan = BenchmarkPlan()
    change(&plan)
    return try plan.resolved(modelContext: context, recommendedThreads: threads)
  }

  @Test("Defaults of a large model, and cut to the context of small ones")
  func defaults() throws {
    let large = try resolved(context: 2048)
    #expect(
      large.tests == [
        .decode(tokens: 64, depth: 0), .prompt(tokens: 128), .prompt(tokens: 512),
      ])
    #expect(large.threads == [1, 2])
    #expect(large.contextLength == 512)
    #expect(large.repetitions == 5)
    let small = try resolved(context: 100, threads: 1)
    #expect(small.tests == [.decode(tokens: 64, depth: 0), .prompt(tokens: 100)])
    #expect(small.threads == [1])
    for context in 1...200 {
      let plan = try resolved(context: context)
      #expect(plan.tests.allSatisfy { $0.positions <= context && $0.tokens > 0 }, "\(context)")
      #expect(plan.contextLength <= context)
    }
  }

  @Test("What was asked for is what is measured")
  func explicit() throws {
    let plan = try resolved(context: 4096) {
      $0.promptTokens = [7, 7, 0, 1000]
      $0.generatedTokens = [32]
      $0.depths = [4000]
      $0.threads = [4, 1, 4]
      $0.repetitions = 3
    }
    #expect(
      plan.tests == [.decode(tokens: 32, depth: 4000), .prompt(tokens: 7), .prompt(tokens: 1000)])
    #expect(plan.threads == [4, 1])
    #expect(plan.contextLength == 4032)
    let prompts = try resolved(context: 64) { $0.generatedTokens = [0] }
    #expect(prompts.tests == [.prompt(tokens: 64)])
    let together = try resolved(context: 256) {
      ($0.parallel, $0.promptTokens, $0.generatedTokens) = ([4, 1, 4], [], [8])
    }
    #expect(
      together.tests == [
        .decode(tokens: 8, depth: 0), .parallel(sequences: 4, tokens: 8),
        .parallel(sequences: 1, tokens: 8),
      ])
    #expect(together.contextLength == 8)
    let room = try resolved(context: 2048) { $0.contextLength = 1024 }
    #expect(room.contextLength == 1024)
  }

  @Test("Every number of tokens is decoded behind every depth, once")
  func depths() throws {
    let plan = try resolved(context: 256) {
      $0.promptTokens = []
      $0.generatedTokens = [8, 0, 16, 8]
      $0.depths = [240, 0]
    }
    #expect(
      plan.tests == [
        .decode(tokens: 8, depth: 240), .decode(tokens: 16, depth: 240),
        .decode(tokens: 8, depth: 0), .decode(tokens: 16, depth: 0),
      ])
    #expect(plan.contextLength == 256)
    // What is decoded by default is cut to what the deepest leaves.
    let cut = try resolved(context: 256) {
      $0.promptTokens = []
      $0.depths = [0, 255]
    }
    #expect(cut.tests == [.decode(tokens: 1, depth: 0), .decode(tokens: 1, depth: 255)])
  }

  @Test("What does not fit is refused and named")
  func refusals() {
    let changes: [(String, (inout BenchmarkPlan) -> Void)] = [
      ("--context", { $0.contextLength = 257 }), ("--context", { $0.contextLength = 0 }),
      ("--prompt-tokens", { $0.promptTokens = [257] }),
      ("--prompt-tokens", { $0.promptTokens = [-1] }),
      ("--generate", { $0.generatedTokens = [32, 257] }), ("--depth", { $0.depths = [0, 256] }),
      (
        "--depth",
        {
          $0.generatedTokens = [200]
          $0.depths = [57]
        }
      ),
      ("--threads", { $0.threads = [0] }),
      (
        "--generate and --prompt-tokens",
        {
          $0.generatedTokens = [0]
          $0.promptTokens = []
        }
      ),
    ]
    for (field, change) in changes {
      do {
        _ = try resolved(context: 256, change)
        Issue.record("\(field) was accepted")
      } catch EvaluationError.invalidBenchmark(let found, _, _) {
        #expect(found == field)
      } catch {
        Issue.record("\(error)")
      }
    }
  }
}
