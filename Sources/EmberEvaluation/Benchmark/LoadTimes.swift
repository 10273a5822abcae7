import EmberGeneration
import EmberKernels
import EmberModel

/// How long a model takes until it can be used.
///
/// Every round opens the file anew: maps it, reads its tables and its tokenizer, makes a session
/// with room for up to 512 positions, and computes one token. The first round is kept apart: then
/// the file may not have been in memory.
package struct LoadTimes: Sendable {
  /// Seconds from opening the file until a session is ready.
  package let ready: Spread
  /// Seconds from opening the file until the logits of a first token are there.
  package let firstToken: Spread
  /// `firstToken` of the first round.
  package let initialFirstToken: Double

  private static let positions = 512

  /// Measures, and returns the model as it was opened last.
  ///
  /// - Parameters:
  ///   - rounds: how many are counted, at least 1.
  ///   - isCancelled: asked between rounds.
  ///   - open: opens the file as a program would, tokenizer included.
  /// - Throws: what `open` throws, `ModelError`, `CancellationError`
  package static func measure(
    rounds: Int, threads: Int? = nil, kernels: Kernels = .best, isCancelled: () -> Bool = { false },
    open: () throws -> Model
  ) throws -> (times: LoadTimes?, model: Model) {
    let clock = ContinuousClock()
    var ready: [Double] = []
    var first: [Double] = []
    while true {
      if isCancelled() { throw CancellationError() }
      let start = clock.now
      let model = try open()
      let session = try InferenceSession(
        model: model, contextLength: min(positions, model.architecture.contextLength),
        threads: threads, kernels: kernels)
      ready.append((clock.now - start).seconds)
      _ = try session.append([0])
      first.append((clock.now - start).seconds)
      guard ready.count > max(1, rounds) else { continue }
      return (LoadTimes(ready: ready, firstToken: first), model)
    }
  }

  /// From all rounds, the first included; nil where no other was measured.
  init?(ready: [Double], firstToken: [Double]) {
    guard let initial = firstToken.first, let readySpread = Spread(Array(ready.dropFirst())),
      let firstSpread = Spread(Array(firstToken.dropFirst()))
    else { return nil }
    self.ready = readySpread
    self.firstToken = firstSpread
    initialFirstToken = initial
  }

  var fields: [ReportField] {
    [
      ("load_seconds", .number(ready.median)),
      ("load_seconds_minimum", .number(ready.minimum)),
      ("load_seconds_maximum", .number(ready.maximum)),
      ("first_token_seconds", .number(firstToken.median)),
      ("first_token_seconds_minimum", .number(firstToken.minimum)),
      ("first_token_seconds_maximum", .number(firstToken.maximum)),
      ("initial_first_token_seconds", .number(initialFirstToken)),
    ]
  }

  var words: String {
    func milliseconds(_ seconds: Double) -> String { BenchmarkText.significant(seconds * 1e3) }
    func range(_ spread: Spread) -> String {
      let words = spread.words(milliseconds)
      return "\(words[0]) ms (\(words[1]))"
    }
    return "Ready after \(range(ready)), first token after \(range(firstToken)), the very first"
      + " after \(milliseconds(initialFirstToken)) ms"
  }
}
