/// Turns ids into text one at a time, never handing out part of a character.
///
///     var decoder = tokenizer.streamDecoder(after: prompt.last)
///     while let id = nextToken() { print(decoder.append(id), terminator: "") }
///     print(decoder.finish())
///
/// Bytes that could still become a character are held back (at most three); bytes that cannot
/// become one are U+FFFD at once. All the text handed out, laid end to end, is what
/// `Tokenizer.decode` gives for the same ids.
public struct StreamDecoder: Sendable {
  private let tokenizer: Tokenizer
  private var previous: Int32?
  private var held: [UInt8] = []

  init(_ tokenizer: Tokenizer, after id: Int32?) {
    self.tokenizer = tokenizer
    previous = id
  }

  /// The text that this id completes, perhaps none.
  public mutating func append(_ id: Int32) -> String {
    let afterBegin = previous != nil && previous == tokenizer.beginOfSequence
    previous = id
    if tokenizer.isSpecial(id) { return "" }
    let stripsSpace = afterBegin && tokenizer.layout.options.contains(.stripsLeadingSpace)
    tokenizer.appendBytes(of: id, to: &held, strippingSpace: stripsSpace)
    let unfinished = UTF8Decoding.unfinishedByteCount(held)
    let text = String(decoding: held.dropLast(unfinished), as: UTF8.self)
    held.removeFirst(held.count - unfinished)
    return text
  }

  /// The end: what is still held back becomes U+FFFD. The decoder can then go on.
  public mutating func finish() -> String {
    let text = String(decoding: held, as: UTF8.self)
    held.removeAll()
    return text
  }
}
