public import EmberModel

/// A small model that guesses what a large one will say, token by token.
///
/// ```swift
/// let draft = try DraftModel(session: InferenceSession(model: small), target: large)
/// ```
///
/// It draws with the random numbers with which the large model will draw at the same places, so
/// that the two agree wherever their distributions put that number into the same token. Its cache
/// keeps what stays of the text; where the large model chose otherwise, it is truncated. A draft
/// model belongs to one generator at a time.
public final class DraftModel {
  package let session: InferenceSession
  private var sampler: Sampler
  /// The text and what was drafted beyond it. The first `session.position` of them are in the cache.
  private var tokens: [Int32] = []
  /// Of `tokens`: those of the text, not drafted.
  private var confirmed = 0
  private var pass: [Int32] = []

  /// So many tokens are read with the first one drafted: those of a usual draft that came true.
  private static let fewTokens = 8

  /// - Parameters:
  ///   - session: of the small model; a context shorter than the text ends the drafts, not the text.
  ///   - target: the large model.
  /// - Throws: `GenerationError.draftTokenizerDiffers`, `.draftVocabularyDiffers`,
  ///   `.needsDecoder`
  public init(session: InferenceSession, target: Model) throws(GenerationError) {
    let (draft, path) = (session.model, target.file.path.string)
    if draft.architecture.encoder != nil || target.architecture.encoder != nil {
      throw .needsDecoder(option: "--draft")
    }
    if draft.file.tokenizer != target.file.tokenizer {
      throw .draftTokenizerDiffers(model: path, draft: draft.file.path.string)
    }
    if draft.architecture.vocabularySize != target.architecture.vocabularySize {
      throw .draftVocabularyDiffers(
        model: path, size: target.architecture.vocabularySize, draft: draft.file.path.string,
        draftSize: draft.architecture.vocabularySize)
    }
    self.session = session
    sampler = Sampler(options: .greedy, seed: 0, kernels: session.kernels)
  }

  /// Makes ready for a new text.
  func begin(options: SamplingOptions, promptLength: Int, capacity: Int) {
    sampler = Sampler(
      options: options, seed: 0, promptLength: promptLength, kernels: session.kernels)
    session.truncate(to: 0)
    confirmed = 0
    tokens.removeAll(keepingCapacity: true)
    let capacity = min(capacity, session.contextLength) + 1
    tokens.reserveCapacity(capacity)
    pass.reserveCapacity(capacity)
  }

  /// How many tokens it can draft behind a text of this length.
  func room(after count: Int) -> Int { max(0, session.contextLength - count + 1) }

  /// Reads what it has not of the text but the last token, where that is more than a few.
  func read(_ history: [Int32]) {
    agree(with: history)
    if confirmed - session.position <= Self.fewTokens { return }
    pass.removeAll(keepingCapacity: true)
    pass.append(contentsOf: tokens[session.position..<confirmed - 1])
    // What cannot be read is found out when it is to be continued.
    _ = try? session.append(pass)
  }

  /// Appends up to `count` guessed tokens to `ids`: fewer where the context ends, none where the
  /// model is damaged, which the text need not suffer from.
  ///
  /// - Parameter target: draws next what the first guessed token will be compared with.
  func draft(_ count: Int, history: [Int32], target: Sampler, into ids: inout [Int32]) {
    agree(with: history)
    sampler.adoptDraws(of: target)
    for _ in 0..<min(count, room(after: history.count)) {
      pass.removeAll(keepingCapacity: true)
      pass.append(contentsOf: tokens[session.position...])
      guard let logits = try? session.append(pass),
        let id = try? sampler.next(logits, history: tokens)
      else { return }
      tokens.append(id)
      ids.append(id)
    }
  }

  /// Takes back what was drafted and did not come true, and takes over the rest of the text.
  private func agree(with history: [Int32]) {
    while confirmed < min(tokens.count, history.count), tokens[confirmed] == history[confirmed] {
      confirmed += 1
    }
    tokens.removeLast(tokens.count - confirmed)
    session.truncate(to: confirmed)
    tokens.append(contentsOf: history[confirmed...])
    confirmed = history.count
    // The logits of the last token are needed, so it is computed again if it was.
    session.truncate(to: confirmed - 1)
  }
}
