import EmberEvaluation
import Testing

struct WindowPlanTests {
  /// Window and position of every scored token, by its index in the text: one window after the other,
  /// remembering which tokens have been scored.
  private static func naive(_ p: PerplexityProtocol, tokens: Int) -> [Int: [Int]] {
    var scored: [Int: [Int]] = [:]
    let prefix = p.addsBeginOfSequence ? 1 : 0
    let holds = p.context - prefix
    var start = 0
    var window = 0
    while start + holds <= tokens || window == 0 {
      if let maximum = p.maximumWindows, window == maximum { break }
      for position in max(1, p.firstScored)..<p.context {
        let token = start + position - prefix
        if token < tokens, scored[token] == nil { scored[token] = [window, position] }
      }
      start += min(p.stride, holds)
      window += 1
    }
    return scored
  }

  private static func planned(_ plan: WindowPlan) -> [Int: [Int]] {
    var scored: [Int: [Int]] = [:]
    for index in 0..<plan.count {
      let window = plan[index]
      for position in window.firstScored..<plan.prefix + window.tokenCount {
        let token = window.start + position - plan.prefix
        #expect(scored[token] == nil, "token \(token) is scored twice")
        scored[token] = [index, position]
      }
    }
    return scored
  }

  @Test("windows score exactly what a naive walk scores", arguments: [3, 4, 7, 16])
  func naiveWalk(context: Int) throws {
    for begins in [false, true] {
      for stride in 1...context {
        for first in 0...(context - 2) {
          for tokens in [3, 4, 5, 8, 16, 17, 31, 32, 33, 50] {
            for maximum in [nil, 1, 3] {
              let windows = PerplexityProtocol(
                context: context, stride: stride, firstScored: first, addsBeginOfSequence: begins,
                maximumWindows: maximum)
              guard let plan = try? WindowPlan(windows, tokens: tokens) else {
                #expect(Self.naive(windows, tokens: tokens).count < 2)
                continue
              }
              let expected = Self.naive(windows, tokens: tokens)
              #expect(Self.planned(plan) == expected, "\(windows) \(tokens)")
              #expect(plan.tokensScored == expected.count)
            }
          }
        }
      }
    }
  }

  @Test("the presets score the tokens that the reference figures score")
  func presets() throws {
    let papers = try WindowPlan(.papers(context: 512), tokens: 64 * 512 + 511)
    #expect(papers.count == 64)
    #expect(papers.tokensScored == 32_704)
    // Tokens 2 to 512 of a window, counted from 1.
    #expect(papers[3] == EvaluationWindow(start: 3 * 512, tokenCount: 512, firstScored: 1))

    let half = try WindowPlan(.llamaCpp(), tokens: 64 * 512)
    #expect(half.count == 64)
    #expect(half.tokensScored == 16_384)
    // Tokens 257 to 512.
    #expect(half[1] == EvaluationWindow(start: 512, tokenCount: 512, firstScored: 256))

    var begins = PerplexityProtocol.papers(context: 512)
    begins.addsBeginOfSequence = true
    begins.maximumWindows = 32
    let stories = try WindowPlan(begins, tokens: 100_000)
    #expect(stories.tokensScored == 32 * 511)
    #expect(stories[2] == EvaluationWindow(start: 2 * 511, tokenCount: 511, firstScored: 1))
  }

  @Test("protocols and texts that cannot be scored are refused")
  func refusals() {
    func error(_ windows: PerplexityProtocol, _ tokens: Int) -> EvaluationError? {
      #expect(throws: EvaluationError.self) { try WindowPlan(windows, tokens: tokens) }
    }
    let papers = PerplexityProtocol.papers(context: 8)
    #expect(error(papers, 0) == .textTooShort(tokens: 0, minimum: 3))
    #expect(error(papers, 2) == .textTooShort(tokens: 2, minimum: 3))
    #expect(error(.llamaCpp(), 257) == .textTooShort(tokens: 257, minimum: 258))
    for (context, stride, first) in [
      (2, 1, 1), (0, 1, 1), (-5, 1, 1), (8, 0, 1), (8, 9, 1), (8, -1, 1), (8, 8, 7), (8, 8, -1),
      (.max, .min, 1), (8, .max, 1), (8, 8, .max), (.min, 1, 1),
    ] {
      let windows = PerplexityProtocol(context: context, stride: stride, firstScored: first)
      guard case .invalidProtocol(_, let expected, let found) = error(windows, 100) else {
        Issue.record("\(windows) was not refused as invalid")
        continue
      }
      #expect(!expected.isEmpty && !found.isEmpty)
    }
    var none = papers
    none.maximumWindows = 0
    #expect(
      error(none, 100)
        == .invalidProtocol(field: "windows", expected: "1 or more", found: "0"))
  }

  @Test("a context larger than the text is one window")
  func largeContext() throws {
    let plan = try WindowPlan(.papers(context: .max), tokens: 10)
    #expect(plan.count == 1)
    #expect(plan.tokensScored == 9)
  }
}
