/// Decides before each pass what to guess, and learns after it.
///
/// The times and the guesses that came true are learned anew for each text. A guess by look-up is
/// compared with the text whether or not it was drafted, so its chances are always known. What a
/// draft model would have said is not known without asking it, so where it does not pay it is asked
/// again after a pause, which doubles as long as it does not; and now and then a pass goes without a
/// guess, or with one that is not expected to pay, so that the times stay true.
package final class Speculator {
  package private(set) var statistics = Speculation.Statistics()

  private let maximumDraft: Int
  private let now: () -> Double
  private var lookup: PromptLookup?
  private var lookupAcceptance = AcceptanceEstimate.byMatchLength
  private let draftModel: DraftModel?
  private var draftAcceptance = AcceptanceEstimate.byDepth
  /// Of drafting a token with the draft model; nil before it was tried.
  private var draftSeconds: Double?
  private var cost = PassCost()
  private var source = Source.none
  /// Guessed tokens of the pass that is being planned or checked.
  private var drafted = 0
  private var startOfPass = 0.0
  /// The most that are guessed now: twice as many after a guess that came true, half after one that
  /// did not, so that a wrong assumption costs little.
  private var trusted = Speculator.leastTrusted
  private var passesSinceSingle = 0
  private var passesSinceSeveral = 0
  private var passesSinceDraftModel = 0
  private var pause = Speculator.firstPause

  private static let leastTrusted = 4

  private enum Source { case none, lookup, draftModel }

  /// Passes with guesses after which one goes without: fewer until its time is known well.
  private static let singleInterval = 64
  private static let firstSingleInterval = 8
  /// Plain passes after which a guess is tried that is not expected to pay.
  private static let retryInterval = 256
  private static let retryLength = 3
  /// Passes until the draft model is asked again, at first and at most.
  private static let firstPause = 16
  private static let longestPause = 512

  /// - Parameters:
  ///   - history: the prompt.
  ///   - capacity: tokens that the text may come to have, prompt included.
  package init(
    _ speculation: Speculation, history: [Int32], options: SamplingOptions, capacity: Int,
    chunkLength: Int
  ) {
    maximumDraft = max(0, min(speculation.maximumDraft, chunkLength - 1))
    now = speculation.now
    draftModel = speculation.draftModel
    draftModel?.begin(
      options: options, promptLength: history.count, capacity: capacity + maximumDraft)
    if speculation.usesLookup { lookup = PromptLookup(capacity: capacity) }
    for id in history { observe(id) }
  }

  /// The most tokens that `propose` adds.
  package var longestDraft: Int { maximumDraft }

  /// Adds guessed tokens to a pass that has the text's last token.
  ///
  /// - Parameter limit: the most that are of use.
  package func propose(
    into pass: inout [Int32], history: [Int32], sampler: Sampler, limit: Int
  ) {
    let limit = min(limit, trusted, maximumDraft)
    source = .none
    drafted = 0
    startOfPass = now()
    if limit > 0 { choose(&pass, history, sampler, limit) }
  }

  /// Learns from a pass that `propose` planned.
  ///
  /// - Parameters:
  ///   - chosen: the tokens that the model chose.
  ///   - accepted: how many of the guessed ones were right, one after another.
  package func record(_ chosen: [Int32], accepted: Int) {
    let seconds = now() - startOfPass
    // A clock may be set back.
    if seconds > 0 { cost.record(tokens: 1 + drafted, seconds: seconds) }
    statistics.passes += 1
    statistics.draftedTokens += drafted
    statistics.acceptedTokens += accepted
    if drafted == 0 {
      statistics.plainPasses += 1
    } else if accepted == drafted {
      trusted = min(maximumDraft, max(trusted, 2 * drafted))
    } else if 2 * accepted < drafted {
      trusted = max(Self.leastTrusted, trusted / 2)
    }
    passesSinceSingle = drafted == 0 ? 0 : passesSinceSingle + 1
    passesSinceSeveral = drafted == 0 ? passesSinceSeveral + 1 : 0
    passesSinceDraftModel += 1
    if source == .draftModel {
      passesSinceDraftModel = 0
      // All that were right, and the one that was not.
      for depth in 0..<min(drafted, chosen.count) {
        draftAcceptance.record(
          AcceptanceEstimate.index(depth: depth), isHit: depth < accepted)
      }
    }
    for id in chosen { observe(id) }
  }

  private func choose(
    _ pass: inout [Int32], _ history: [Int32], _ sampler: Sampler, _ limit: Int
  ) {
    guard let cost = self.cost.expectation else { return }
    let interval =
      self.cost.singleCount < 3 ? Self.firstSingleInterval : Self.singleInterval
    if passesSinceSingle >= interval { return }

    var fromLookup = DraftLength()
    if let length = lookup?.match?.length {
      fromLookup = DraftLength(limit: limit, cost: cost) { depth in
        lookupAcceptance.probability(AcceptanceEstimate.index(matchLength: length + depth))
      }
    }
    if let draftModel, let draft = lengthFromDraftModel(limit, draftModel, history, cost),
      draft.rate > fromLookup.rate
    {
      ask(draftModel, draft.count, &pass, history, sampler)
      return
    }
    var count = fromLookup.count
    if count == 0, lookup?.match != nil, passesSinceSeveral >= Self.retryInterval {
      count = min(limit, Self.retryLength)
    }
    if count == 0 { return }
    source = .lookup
    lookup?.guess(count, into: &pass)
    drafted = count
    // Looking up takes no time worth counting; the pass begins here.
    startOfPass = now()
  }

  /// nil where the draft model is not to be asked.
  private func lengthFromDraftModel(
    _ limit: Int, _ draftModel: DraftModel, _ history: [Int32], _ cost: PassCost.Expectation
  ) -> DraftLength? {
    let limit = min(limit, draftModel.room(after: history.count))
    if limit < 1 { return nil }
    guard let draftSeconds else {
      // To be tried: better than anything until it is known.
      return DraftLength(count: min(limit, Self.retryLength), rate: .infinity)
    }
    let length = DraftLength(limit: limit, cost: cost, secondsPerToken: draftSeconds) { depth in
      draftAcceptance.probability(AcceptanceEstimate.index(depth: depth))
    }
    if length.count > 0 {
      pause = Self.firstPause
      return length
    }
    if passesSinceDraftModel < pause { return nil }
    pause = min(2 * pause, Self.longestPause)
    return DraftLength(count: min(limit, Self.retryLength), rate: .infinity)
  }

  private func ask(
    _ draftModel: DraftModel, _ count: Int, _ pass: inout [Int32], _ history: [Int32],
    _ sampler: Sampler
  ) {
    // What it reads after a pause is no part of what a token takes.
    draftModel.read(history)
    let start = now()
    let before = pass.count
    draftModel.draft(count, history: history, target: sampler, into: &pass)
    drafted = pass.count - before
    startOfPass = now()
    source = .draftModel
    // Damaged: not worth another question.
    if drafted == 0 { draftSeconds = .infinity }
    let seconds = (startOfPass - start) / Double(max(1, drafted))
    if drafted == 0 || seconds <= 0 { return }
    draftSeconds = draftSeconds.map { $0 + 0.2 * (min(seconds, 4 * $0) - $0) } ?? seconds
  }

  /// Compares a token of the text with what the look-up would have guessed, and takes it over.
  package func observe(_ id: Int32) {
    if let match = lookup?.match {
      lookupAcceptance.record(
        AcceptanceEstimate.index(matchLength: match.length), isHit: lookup?.next == id)
    }
    lookup?.append(id)
  }
}
