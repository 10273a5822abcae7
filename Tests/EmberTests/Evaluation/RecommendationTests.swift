import EmberEvaluation
import Testing

struct RecommendationTests {
  private static func point(
    _ name: String, _ bytes: Int, _ change: Double = 0, _ error: Double = 0
  ) -> LossPoint {
    LossPoint(name: name, bytes: bytes, changePercent: change, errorPercent: error)
  }

  private static let f16 = point("f16", 1000)
  private static let q8 = point("q8", 540, 0.01, 0.02)
  private static let q4 = point("q4", 370, 0.55, 0.14)

  private static let cases: [([LossPoint], String)] = [
    ([f16], "Take f16: there is no other file to choose from."),
    (
      [f16, q8, q4],
      "Take q4: +0.55 ± 0.14 % perplexity at 37 % of the size of f16;"
        + " q8, 1.46 times as large, has no measurable loss (+0.01 ± 0.02 %)."
    ),
    (
      [f16, q8],
      "Take q8: no measurable loss of perplexity (+0.01 ± 0.02 %) at 54 % of the size of f16."
    ),
    // Half the size does not pay for any loss.
    (
      [f16, point("q4", 370, 88, 3)],
      "Take f16: no other file is a better trade;"
        + " the next best, q4, has +88.00 ± 3.00 % perplexity at 37 % of the size."
    ),
    // Nor a small loss for any size.
    (
      [q4, point("f16", 1000, -0.55, 0.14)],
      "Take q4: no other file is a better trade;"
        + " the next best, f16, has −0.55 ± 0.14 % perplexity at 2.70 times the size."
    ),
    (
      [f16, q4, point("q2", 200, 12, 0.5)],
      "Take q4: +0.55 ± 0.14 % perplexity at 37 % of the size of f16;"
        + " q2, 20 % of the size, costs too much: +12.00 ± 0.50 %."
    ),
    // A larger file that is better by less than twice the error of the difference.
    (
      [f16, q4, point("q4b", 400, 0.4, 0.1)],
      "Take q4: +0.55 ± 0.14 % perplexity at 37 % of the size of f16;"
        + " q4b, 1.08 times as large, is not measurably better."
    ),
    // Of a file that another beats in both, nothing is said.
    (
      [f16, q8, point("bad", 600, 3, 0.1)],
      "Take q8: no measurable loss of perplexity (+0.01 ± 0.02 %) at 54 % of the size of f16."
    ),
    // Ties: the first.
    (
      [f16, f16],
      "Take f16: no other file is a better trade;"
        + " the next best, f16, has the same perplexity at the same size."
    ),
    (
      [f16, q4, point("again", 370, 0.55, 0.14)],
      "Take q4: +0.55 ± 0.14 % perplexity at 37 % of the size of f16."
    ),
    // What may be noise wins nothing.
    (
      [f16, point("noisy", 990, -1, 3)],
      "Take f16: no other file is a better trade; the next best, noisy,"
        + " has no measurable loss of perplexity (−1.00 ± 3.00 %) at 99 % of the size."
    ),
    // What is no noise does.
    (
      [f16, point("tuned", 1000, -4, 0.5)],
      "Take tuned: −4.00 ± 0.50 % perplexity at the size of f16."
    ),
  ]

  @Test("one sentence says what to take and why", arguments: cases)
  func sentence(_ points: [LossPoint], _ sentence: String) {
    let recommendation = Recommendation(points)
    #expect(recommendation.sentence == sentence)
    #expect(sentence.hasPrefix("Take \(points[recommendation.index].name):"))
  }

  @Test("the rate: half the size for 5 %, a quarter for 10 %")
  func rate() {
    for (bytes, atRate) in [(500, 5.0), (250, 10.25), (2000, -4.7619)] {
      let cheaper = Self.point("other", bytes, atRate - 0.1)
      let dearer = Self.point("other", bytes, atRate + 0.1)
      #expect(Recommendation([Self.f16, cheaper]).index == 1)
      #expect(Recommendation([Self.f16, dearer]).index == 0)
      // Twice the error counts.
      let unsure = Self.point("other", bytes, atRate - 0.1, 0.06)
      #expect(Recommendation([Self.f16, unsure]).index == 0)
    }
  }

  @Test("a file that is not taken does not change which one is")
  func irrelevantFiles() {
    let others = [
      Self.point("a", 360, 2, 0.1), Self.point("b", 2000, 0.5, 0.1), Self.point("c", 539, 0.4, 0),
    ]
    for other in others {
      let points = [Self.f16, Self.q8, other, Self.q4]
      #expect(Recommendation(points).index == 3, "\(other.name)")
    }
  }

  @Test("the Pareto front: whom no other beats in both")
  func front() {
    let points = [
      Self.f16, Self.q8, Self.q4, Self.point("worse", 370, 0.6), Self.point("larger", 371, 0.55),
      Self.point("equal", 370, 0.55), Self.point("smallest", 100, 90),
    ]
    #expect(points.onParetoFront == [true, true, true, false, false, true, true])
    // As measured: a file that is larger and no better is beaten, noise or not.
    #expect([Self.f16, Self.point("q8", 540, -0.01, 0.02)].onParetoFront == [false, true])
  }
}
