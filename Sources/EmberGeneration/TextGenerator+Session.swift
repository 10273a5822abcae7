import EmberModel

/// The session file: read before a prompt is computed, written after it and after the text.
extension TextGenerator {
  /// Positions computed for a prompt from which on it is worth a file of its own, before a text is
  /// begun that may be killed; fewer are saved with the text.
  private static let positionsWorthSaving = 64

  /// Forgets the last text. Returns how many positions of the prompt the session has again.
  func restore(_ prompt: [Int32], _ result: inout Result) throws(SessionFileError) -> Int {
    session.truncate(to: 0)
    guard let sessionFile, session.model.architecture.encoder == nil else { return 0 }
    let clock = ContinuousClock()
    let start = clock.now
    result.restoredTokens = try sessionFile.restore(prompt, into: session)
    result.sessionSeconds = (clock.now - start).seconds
    return result.restoredTokens
  }

  func saveAfterPrompt(_ prompt: [Int32], _ result: inout Result) {
    guard session.position - result.restoredTokens >= Self.positionsWorthSaving else { return }
    let clock = ContinuousClock()
    let start = clock.now
    save(prompt, &result)
    result.sessionSeconds += (clock.now - start).seconds
  }

  /// Keeps the first failure: the text goes on, and a second try would hardly do better.
  func save(_ history: [Int32], _ result: inout Result) {
    guard let sessionFile, result.sessionFailure == nil else { return }
    do throws(SessionFileError) {
      result.sessionFileBytes = try sessionFile.save(history, of: session)
    } catch {
      result.sessionFailure = error
    }
  }
}
