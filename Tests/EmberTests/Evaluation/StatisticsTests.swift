import EmberEvaluation
import EmberGeneration
import Foundation
import Testing

struct StatisticsTests {
  @Test("the paired error is that of the differences")
  func pairedError() {
    var generator = SplitMix64(seed: 2)
    let baseline = (0..<500).map { _ in generator.nextUnit() * 10 }
    let model = baseline.map { $0 + 0.01 + (generator.nextUnit() - 0.5) * 0.1 }
    let change = PairedChange(model, baseline: baseline)

    // By the textbook: var(x − y) = var x + var y − 2 cov(x, y).
    let n = 500.0
    let (mx, my) = (model.reduce(0, +) / n, baseline.reduce(0, +) / n)
    var (vx, vy, cov) = (0.0, 0.0, 0.0)
    for (x, y) in zip(model, baseline) {
      vx += (x - mx) * (x - mx) / (n - 1)
      vy += (y - my) * (y - my) / (n - 1)
      cov += (x - mx) * (y - my) / (n - 1)
    }
    let error = ((vx + vy - 2 * cov) / n).squareRoot()
    let ratio = exp(mx) / exp(my)
    #expect(abs(change.percent - 100 * (ratio - 1)) < 1e-9)
    #expect(abs(change.errorPercent - 100 * ratio * error) < 1e-9)
    // Far below what two independent errors would give.
    #expect(change.errorPercent < 10 * (vx / n + vy / n).squareRoot())
  }

  @Test("mean, error and quantiles of small samples")
  func smallSamples() {
    let statistics = SampleStatistics([1, 2, 3, 4])
    #expect(statistics.mean == 2.5)
    #expect(abs(statistics.standardError - (5.0 / 3 / 4).squareRoot()) < 1e-15)
    #expect(SampleStatistics([7]).standardError == 0)
    #expect(SampleStatistics.quantile([1, 2, 3, 4], 0.5) == 2.5)
    #expect(SampleStatistics.quantile([1, 2, 3, 4], 0) == 1)
    #expect(SampleStatistics.quantile([1, 2, 3, 4], 1) == 4)
    #expect(SampleStatistics.quantile([5], 0.99) == 5)
    #expect(SampleStatistics.quantile([], 0.5) == 0)
    #expect(abs(SampleStatistics.quantile((0...100).map(Double.init), 0.99) - 99) < 1e-12)
  }
}
