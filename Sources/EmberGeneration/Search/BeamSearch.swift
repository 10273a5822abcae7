import Foundation

/// Beam search without a model: which texts are followed, given the logits after each.
///
/// It is transformers' `_beam_search` (version 5), step for step, for one prompt and without sampling:
/// scores are single precision, twice or more as many continuations as beams are looked at so that
/// ends do not use up the beams, and of equal scores the earlier beam and the lower id come first.
package struct BeamSearch {
  /// A text that is followed, or finished.
  package struct Beam: Sendable {
    /// Without the prompt; with the token that ended it.
    package var ids: [Int32]
    /// Σ log p of a text that is followed; of a finished one, divided by its length's power.
    package var score: Float
    /// Which of the beams before the last step it continues.
    package var parent = 0
    package var isFinished = false
  }

  private let options: BeamSearchOptions
  private let maximumTokens: Int
  private let endTokens: [Int32]
  package private(set) var running: [Beam]
  private var finished: [Beam]
  private var improvementIsPossible = true
  package private(set) var isDone = false
  /// Tokens of each running beam.
  private var length = 0

  /// What is impossible, in transformers' arithmetic.
  private static let impossible: Float = -1e9

  /// - Parameter maximumTokens: at least 1.
  package init(_ options: BeamSearchOptions, maximumTokens: Int, endTokens: [Int32]) {
    self.options = options
    self.maximumTokens = maximumTokens
    self.endTokens = endTokens
    running = (0..<options.beams).map { Beam(ids: [], score: $0 == 0 ? 0 : Self.impossible) }
    finished = running.map { _ in Beam(ids: [], score: Self.impossible) }
  }

  /// The best of what was found, best first.
  package var best: [Beam] { Array(finished.prefix(options.returned)) }

  /// Takes all beams a token further.
  ///
  /// - Parameter scores: log p of every token after each running beam, [beams][vocabularySize], as
  ///   the processors have left them.
  package mutating func advance(_ scores: [[Float]]) {
    let candidates = largest(scores)
    length += 1
    let isLast = length >= maximumTokens
    let ends = candidates.map { isLast || endTokens.contains($0.ids.last ?? -1) }
    running = Self.top(
      options.beams,
      of: zip(candidates, ends).map { candidate, ends in
        var candidate = candidate
        if ends { candidate.score += Self.impossible }
        return candidate
      })
    finish(candidates, ends)
    checkImprovement()
    let isFull = finished.allSatisfy(\.isFinished) && options.earlyStopping == .always
    isDone = !improvementIsPossible || isFull || ends.allSatisfy { $0 }
  }

  /// The best continuations, best first.
  private func largest(_ scores: [[Float]]) -> [Beam] {
    let wanted = max(2, 1 + endTokens.count) * options.beams
    // The smallest of those that are kept is last.
    var kept: [(score: Float, beam: Int, id: Int)] = []
    kept.reserveCapacity(wanted + 1)
    for (beam, row) in scores.enumerated() {
      let base = running[beam].score
      for (id, logProbability) in row.enumerated() {
        let score = logProbability + base
        if kept.count == wanted, !(score > kept[wanted - 1].score) { continue }
        var place = kept.count
        while place > 0, kept[place - 1].score < score { place -= 1 }
        kept.insert((score, beam, id), at: place)
        if kept.count > wanted { kept.removeLast() }
      }
    }
    return kept.map { candidate in
      Beam(
        ids: running[candidate.beam].ids + [Int32(candidate.id)], score: candidate.score,
        parent: candidate.beam)
    }
  }

  /// Those of the first `beams` continuations that ended may take the place of finished texts.
  private mutating func finish(_ candidates: [Beam], _ ends: [Bool]) {
    let isFull = finished.allSatisfy(\.isFinished) && options.earlyStopping == .always
    let divisor = power(length)
    for (index, candidate) in candidates.enumerated() {
      var candidate = candidate
      candidate.score = candidate.score / divisor
      candidate.isFinished = ends[index] && index < options.beams
      if isFull { candidate.score += Self.impossible }
      if !improvementIsPossible { candidate.score += Self.impossible }
      if !candidate.isFinished { candidate.score += Self.impossible }
      finished.append(candidate)
    }
    finished = Self.top(options.beams, of: finished)
  }

  private mutating func checkImprovement() {
    let wantsLongest = options.earlyStopping == .never && options.lengthPenalty > 0
    let bestPossible = (running.first?.score ?? 0) / power(wantsLongest ? maximumTokens : length)
    let worst = finished.map(\.score).min() ?? Self.impossible
    let improves = finished.contains { bestPossible > ($0.isFinished ? worst : Self.impossible) }
    improvementIsPossible = improvementIsPossible && improves
  }

  private func power(_ length: Int) -> Float {
    Float(pow(Double(length), options.lengthPenalty))
  }

  /// The largest scores first; of equal ones, the earlier.
  private static func top(_ count: Int, of beams: [Beam]) -> [Beam] {
    let order = beams.indices.sorted {
      beams[$0].score != beams[$1].score ? beams[$0].score > beams[$1].score : $0 < $1
    }
    return order.prefix(count).map { beams[$0] }
  }
}
