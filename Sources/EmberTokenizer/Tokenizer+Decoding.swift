extension Tokenizer {
  /// The bytes that a token stands for inside a text; a control token's are its name. Empty for an
  /// id without a piece.
  public func bytes(of id: Int32) -> [UInt8] {
    guard flags(id) != nil else { return [] }
    return withView { view in
      let piece = view.piece(id)
      if pipeline.decoder.isPlain { return Array(piece) }
      if pipeline.decoder.turnsBytePiecesIntoBytes, let byte = DecoderPlan.byteValue(piece) {
        return [byte]
      }
      return pipeline.decoder.bytes(Array(piece), isFirst: false)
    } ?? []
  }

  /// Appends them to a buffer, without an array in between where there is nothing to change.
  func appendBytes(of id: Int32, to buffer: inout [UInt8], isFirst: Bool, strippingSpace: Bool) {
    guard flags(id) != nil else { return }
    withView { view in
      let piece = view.piece(id)
      let decoder = pipeline.decoder
      if decoder.isPlain {
        let skipped = strippingSpace && piece.first == UInt8(ascii: " ") ? 1 : 0
        buffer.append(contentsOf: UnsafeBufferPointer(rebasing: piece[skipped...]))
      } else if decoder.turnsBytePiecesIntoBytes, let byte = DecoderPlan.byteValue(piece) {
        buffer.append(byte)
      } else {
        let bytes = decoder.bytes(Array(piece), isFirst: isFirst)
        let skipped = strippingSpace && bytes.first == UInt8(ascii: " ") ? 1 : 0
        buffer += bytes[skipped...]
      }
    }
  }

  /// A token for display: printable, with bytes that are not UTF-8 and control characters shown as
  /// <0xNN>.
  public func piece(_ id: Int32) -> String {
    guard let flags = flags(id) else { return "<unknown id \(id)>" }
    if flags.contains(.unused) { return "<unused id \(id)>" }
    var shown = ""
    var rest = bytes(of: id)[...]
    while !rest.isEmpty {
      var decoder = UTF8()
      var iterator = rest.makeIterator()
      if case .scalarValue(let scalar) = decoder.decode(&iterator),
        scalar.properties.generalCategory != .control
      {
        shown.unicodeScalars.append(scalar)
        rest = rest.dropFirst(UTF8.width(scalar))
      } else {
        let digits = String(rest[rest.startIndex], radix: 16, uppercase: true)
        shown += "<0x" + (digits.count == 1 ? "0" : "") + digits + ">"
        rest = rest.dropFirst()
      }
    }
    return shown
  }

  /// The text of some ids. Control tokens are not printed; bytes that are not UTF-8 become U+FFFD;
  /// ids outside the vocabulary are left out.
  public func decode(_ ids: some Sequence<Int32>) -> String {
    var decoder = streamDecoder()
    var text = ""
    for id in ids { text += decoder.append(id) }
    return text + decoder.finish()
  }

  /// Decodes ids as they come.
  ///
  /// - Parameter id: the id before the first, which decides whether the first piece's leading space
  ///   is part of the text: not at the beginning of a sequence.
  public func streamDecoder(after id: Int32? = nil) -> StreamDecoder {
    StreamDecoder(self, after: id)
  }
}
