/// Writes a description as `tokenizer.json`, the inverse of `HuggingFaceFile` and its importer.
struct HuggingFaceWriter {
  var description: TokenizerDescription

  var isByteLevel: Bool { description.model == .byteLevelBPE }

  func failure(_ found: String, _ supported: String) -> TokenizerError {
    .notExpressible(format: "tokenizer.json", found: found, supported: supported)
  }

  mutating func json() throws(TokenizerError) -> [UInt8] {
    SpaceEscaping.apply(to: &description)
    try SentencePieceSteps.expand(&description)
    let normalizers = try normalizers()
    let preTokenizers = try preTokenizers()
    let decoders = try decoders()
    let names = try names()
    let isListed = inVocabulary()
    try checkNames(names, isListed)
    let contents = addedContents(names, isListed)
    var text = JSONText()
    text.object { text in
      text.key("version")
      text.string("1.0")
      for name in ["truncation", "padding"] {
        text.key(name)
        text.null()
      }
      text.key("added_tokens")
      text.array { text in
        for token in description.addedTokens {
          add(token, contents[token.id] ?? names[Int(token.id)] ?? "", to: &text)
        }
      }
      text.key("normalizer")
      text.value(sequence(normalizers, list: "normalizers"))
      text.key("pre_tokenizer")
      text.value(sequence(preTokenizers, list: "pretokenizers"))
      text.key("post_processor")
      text.value(postProcessor(names))
      text.key("decoder")
      text.value(sequence(decoders, list: "decoders"))
      text.key("model")
      text.object { addModel(names, isListed, to: &$0) }
    }
    return text.bytes
  }

  /// What the file calls each id; nil for an id that no token has.
  func names() throws(TokenizerError) -> [String?] {
    let isAdded = Set(description.addedTokens.map(\.id))
    var names: [String?] = []
    for (id, piece) in description.pieces.enumerated() {
      if piece.flags.contains(.unused), piece.bytes.isEmpty {
        names.append(nil)
      } else if isByteLevel, piece.flags.contains(.lookup), !isAdded.contains(Int32(id)) {
        names.append(ByteAlphabet.piece(piece.bytes))
      } else if let name = String(validating: piece.bytes, as: UTF8.self) {
        names.append(name)
      } else {
        throw failure("token \(id), whose bytes are no text", "tokens that are text")
      }
    }
    return names
  }

  /// Whether an id stands in the model's vocabulary; added tokens behind it do not, where they are
  /// numbered on without a gap, since readers number them so.
  func inVocabulary() -> [Bool] {
    let isAdded = Set(description.addedTokens.map(\.id))
    var end = description.pieces.count
    while end > 0, isAdded.contains(Int32(end - 1)),
      !description.pieces[end - 1].flags.contains(.lookup)
    {
      end -= 1
    }
    let isUsed = description.pieces.map { !($0.flags.contains(.unused) && $0.bytes.isEmpty) }
    if isUsed[..<end].contains(false), description.model != .unigram { return isUsed }
    return description.pieces.indices.map { isUsed[$0] && $0 < end }
  }

  func checkNames(_ names: [String?], _ isListed: [Bool]) throws(TokenizerError) {
    // By bytes: Swift's own comparison takes canonically equivalent texts for one.
    var first: [[UInt8]: Int] = [:]
    for (id, name) in names.enumerated() where isListed[id] {
      guard let name else { continue }
      if let other = first.updateValue(id, forKey: Array(name.utf8)) {
        throw failure("one name for the tokens \(other) and \(id)", "a name for each token")
      }
    }
  }

  /// What stands for tokens that are searched for in normalized text, where that is not their piece:
  /// readers normalize it, and the piece is what comes of it.
  func addedContents(_ names: [String?], _ isListed: [Bool]) -> [Int32: String] {
    // Importers have compiled each of them.
    let normalizers = description.steps.compactMap { try? NormalizerStep($0) }
    if normalizers.isEmpty { return [:] }
    let listed = Set(
      names.indices.filter { isListed[$0] }.compactMap { names[$0] }.map { Array($0.utf8) })
    var contents: [Int32: String] = [:]
    for token in description.addedTokens where token.flags.contains(.normalized) {
      // A token of the vocabulary keeps its own text, and what is searched for is made of it again.
      if description.pieces[Int(token.id)].flags.contains(.lookup) { continue }
      guard let name = names[Int(token.id)] else { continue }
      let plain = name.replacing("\u{2581}", with: " ")
      let texts = [
        name, plain, plain.hasPrefix(" ") ? String(plain.dropFirst()) : plain,
        plain.replacing(" ", with: ""),
      ]
      let candidates =
        texts + texts.map { $0.prefix(1).uppercased() + $0.dropFirst() }
        + texts.map { $0.uppercased() }
      contents[token.id] = candidates.first { candidate in
        let bytes = Array(candidate.utf8)
        if bytes != Array(name.utf8), listed.contains(bytes) { return false }
        let isOwn = !listed.contains(Array(name.utf8)) || isListed[Int(token.id)]
        return (isOwn || bytes != Array(name.utf8))
          && normalized(bytes, normalizers) == Array(name.utf8)
      }
    }
    return contents
  }

  func normalized(_ bytes: [UInt8], _ steps: [NormalizerStep]) -> [UInt8] {
    var current = bytes
    var isAtStart = true
    for step in steps {
      current =
        current.withUnsafeBufferPointer { step.normalize($0, isAtStart: &isAtStart) } ?? current
    }
    return current
  }

  func add(
    _ token: TokenizerDescription.AddedToken, _ content: String, to text: inout JSONText
  ) {
    text.object { text in
      text.key("id")
      text.integer(Int(token.id))
      text.key("content")
      text.string(content)
      for (name, flag) in [
        ("single_word", AddedTokenFlags.singleWord), ("lstrip", .stripsLeft),
        ("rstrip", .stripsRight), ("normalized", .normalized), ("special", .special),
      ] {
        text.key(name)
        text.boolean(token.flags.contains(flag))
      }
    }
  }

  func postProcessor(_ names: [String?]) -> JSONValue {
    let (prefix, suffix) = (description.prefix, description.suffix)
    if prefix.isEmpty && suffix.isEmpty {
      return isByteLevel ? byteLevel(prefixSpace: true, splits: true) : .null
    }
    func part(_ kind: String, _ id: String, _ type: Int) -> JSONValue {
      .object([
        .init(
          key: kind,
          value: .object([
            .init(key: "id", value: .string(id)), .init(key: "type_id", value: .integer(type)),
          ]))
      ])
    }
    func text(_ id: String, _ type: Int) -> [JSONValue] {
      func special(_ ids: [Int32]) -> [JSONValue] {
        ids.map { part("SpecialToken", names[Int($0)] ?? "", type) }
      }
      return special(prefix) + [part("Sequence", id, type)] + special(suffix)
    }
    var specials: [JSONValue.Member] = []
    for id in Set(prefix + suffix).sorted() {
      let name = names[Int(id)] ?? ""
      specials.append(
        .init(
          key: name,
          value: .object([
            .init(key: "id", value: .string(name)),
            .init(key: "ids", value: .array([.integer(Int(id))])),
            .init(key: "tokens", value: .array([.string(name)])),
          ])))
    }
    return step(
      "TemplateProcessing",
      [
        ("single", .array(text("A", 0))), ("pair", .array(text("A", 0) + text("B", 1))),
        ("special_tokens", .object(specials)),
      ])
  }
}
