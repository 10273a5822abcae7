extension Tokenizer {
  /// The ids of a text.
  ///
  /// - Parameters:
  ///   - addingBeginOfSequence: nil for the tokenizer's own way (its post-processor, with whatever
  ///     it puts before and after a text), true for the beginning-of-sequence id alone, false for
  ///     no id besides the text's.
  ///   - parsingSpecialTokens: whether "<|endoftext|>" in the text becomes that control token. Say
  ///     false for text from others, which should not be able to end a turn.
  ///
  /// Complexity: O(n log n) at worst, linear for text with words in it.
  public func encode(
    _ text: String, addingBeginOfSequence: Bool? = nil, parsingSpecialTokens: Bool = true
  ) -> [Int32] {
    var text = text
    let ids = text.withUTF8 { utf8 in
      withView { view in
        var output = prefix(view, addingBeginOfSequence)
        output.reserveCapacity(utf8.count / 4 + 16)
        append(utf8, view, parsesSpecial: parsingSpecialTokens, to: &output)
        if addingBeginOfSequence == nil { output += view.suffix }
        return output
      }
    }
    return ids ?? []
  }

  private func append(
    _ text: UnsafeBufferPointer<UInt8>, _ view: UnsafeTokenizerView, parsesSpecial: Bool,
    to output: inout [Int32]
  ) {
    func run<Model: TokenModel>(_: Model.Type) {
      var model = Model(view, pipeline)
      swap(&model.output, &output)
      var encoder = TextEncoder(model, pipeline, parsesSpecial: parsesSpecial)
      encoder.encode(text)
      swap(&encoder.model.output, &output)
    }
    switch layout.model {
    case .byteLevelBPE, .scoredBPE: run(BytePairModel.self)
    case .unigram: run(UnigramModel.self)
    case .wordPiece: run(WordPieceModel.self)
    case .wordLevel: run(WordLevelModel.self)
    }
  }

  private func prefix(_ view: UnsafeTokenizerView, _ adding: Bool?) -> [Int32] {
    switch adding {
    case nil: view.prefix
    case .some(true): layout.beginOfSequence.map { [$0] } ?? []
    case .some(false): []
    }
  }

  /// The ids whose own bytes the model turns into that one token; the writer marks them, so that
  /// encoding such a word is one look-up.
  func wholePieces() -> [Int32] {
    // The other models have nothing to look up beforehand.
    guard layout.model == .byteLevelBPE || layout.model == .scoredBPE else { return [] }
    return withView { view in
      var encoder = BytePairEncoder(view)
      var output: [Int32] = []
      return (0..<Int32(layout.pieceCount)).filter { id in
        guard view.flags(id).contains(.lookup) else { return false }
        let piece = view.piece(id)
        // Scored BPE takes characters from the text; a piece that is not UTF-8 cannot be one.
        if layout.model == .scoredBPE && String(validating: piece, as: UTF8.self) == nil {
          return false
        }
        output.removeAll(keepingCapacity: true)
        encoder.merge(piece, into: &output)
        return output == [id]
      }
    } ?? []
  }
}

/// One text on its way through the steps.
private struct TextEncoder<Model: TokenModel> {
  var model: Model
  private let pipeline: TokenizerPipeline
  private let matcher: AddedTokenMatcher
  private var preTokenizer: PreTokenizer

  typealias Text = UnsafeBufferPointer<UInt8>

  init(_ model: Model, _ pipeline: TokenizerPipeline, parsesSpecial: Bool) {
    self.model = model
    self.pipeline = pipeline
    matcher = AddedTokenMatcher(pipeline, parsesSpecial: parsesSpecial)
    preTokenizer = PreTokenizer(pipeline.preTokenizers)
  }

  /// Raw added tokens are cut out of the text, and normalized ones out of the normalized rest.
  mutating func encode(_ text: Text) {
    for part in matcher.parts(text, normalized: false) {
      if let token = part.token {
        model.output.append(token)
        continue
      }
      let rest = Text(rebasing: text[part.range])
      var isFirst = part.range.lowerBound == 0
      if pipeline.normalizers.isEmpty {
        encode(normalized: rest, isFirst: isFirst)
      } else if let changed = pipeline.normalize(rest, isAtStart: &isFirst) {
        changed.withUnsafeBufferPointer { encode(normalized: $0, isFirst: isFirst) }
      } else {
        encode(normalized: rest, isFirst: isFirst)
      }
    }
  }

  private mutating func encode(normalized text: Text, isFirst: Bool) {
    for part in matcher.parts(text, normalized: true) {
      if let token = part.token {
        model.output.append(token)
      } else {
        preTokenizer.run(
          Text(rebasing: text[part.range]), isFirst: isFirst && part.range.lowerBound == 0,
          into: &model)
      }
    }
  }
}
