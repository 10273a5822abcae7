/// The vocabulary, and the rules that cut a word into its pieces.
extension HuggingFaceWriter {
  func addModel(_ names: [String?], _ isListed: [Bool], to text: inout JSONText) {
    func flag(_ name: String, _ option: Bool) {
      text.key(name)
      text.boolean(option)
    }
    func null(_ name: String) {
      text.key(name)
      text.null()
    }
    func unknown() {
      text.key("unk_token")
      if let id = description.unknown, let name = names[Int(id)] {
        text.string(name)
      } else {
        text.null()
      }
    }
    text.key("type")
    switch description.model {
    case .byteLevelBPE, .scoredBPE:
      text.string("BPE")
      null("dropout")
      unknown()
      null("continuing_subword_prefix")
      null("end_of_word_suffix")
      flag("fuse_unk", description.options.contains(.fusesUnknown))
      flag("byte_fallback", hasByteFallback)
      flag("ignore_merges", description.options.contains(.ignoresMerges))
      addVocabulary(names, isListed, to: &text)
      text.key("merges")
      text.array { text in
        for merge in description.merges {
          guard let left = names[Int(merge.left)], let right = names[Int(merge.right)] else {
            continue
          }
          text.array {
            $0.string(left)
            $0.string(right)
          }
        }
      }
    case .unigram:
      text.string("Unigram")
      text.key("unk_id")
      if let id = description.unknown { text.integer(Int(id)) } else { text.null() }
      flag("byte_fallback", hasByteFallback)
      addScoredVocabulary(names, isListed, to: &text)
    case .wordPiece:
      text.string("WordPiece")
      unknown()
      let step = description.steps.last { $0.kind == .wordPiece }
      text.key("continuing_subword_prefix")
      text.string(String(decoding: step?.first ?? Array("##".utf8), as: UTF8.self))
      text.key("max_input_chars_per_word")
      text.integer(step.flatMap { TokenizerStep.word($0.second, 0) }.map { Int($0) } ?? 100)
      addVocabulary(names, isListed, to: &text)
    case .wordLevel:
      text.string("WordLevel")
      addVocabulary(names, isListed, to: &text)
      unknown()
    }
  }

  var hasByteFallback: Bool {
    !isByteLevel && description.byteTokens.contains { $0 >= 0 }
  }

  func addVocabulary(_ names: [String?], _ isListed: [Bool], to text: inout JSONText) {
    text.key("vocab")
    text.object { text in
      for (id, name) in names.enumerated() where isListed[id] {
        guard let name else { continue }
        text.key(name)
        text.integer(id)
      }
    }
  }

  func addScoredVocabulary(
    _ names: [String?], _ isListed: [Bool], to text: inout JSONText
  ) {
    let scores = TokenizerPipeline.scores(
      description.steps.last { $0.kind == .scores }?.first ?? [])
    text.key("vocab")
    text.array { text in
      for (id, name) in names.enumerated() where isListed[id] && id < scores.count {
        text.array {
          $0.string(name ?? "")
          $0.number(scores[id])
        }
      }
    }
  }
}
