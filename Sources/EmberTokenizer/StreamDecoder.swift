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
  /// Whether no token of the text has come yet.
  private var isFirst: Bool
  /// How often the text's beginning may still lose what its decoder strips.
  private var strips: Int

  init(_ tokenizer: Tokenizer, after id: Int32?) {
    self.tokenizer = tokenizer
    previous = id
    isFirst = id.map(tokenizer.isSpecial) ?? true
    strips = isFirst ? tokenizer.pipeline.decoder.stripped.count : 0
  }

  /// The text that this id completes, perhaps none.
  public mutating func append(_ id: Int32) -> String {
    let afterBegin = previous != nil && previous == tokenizer.beginOfSequence
    previous = id
    if tokenizer.isSpecial(id) { return "" }
    let stripsSpace = afterBegin && tokenizer.layout.options.contains(.stripsLeadingSpace)
    let start = held.count
    tokenizer.appendBytes(of: id, to: &held, isFirst: isFirst, strippingSpace: stripsSpace)
    isFirst = false
    if strips > 0 { strip(from: start) }
    let unfinished = UTF8Decoding.unfinishedByteCount(held)
    let text = String(decoding: held.dropLast(unfinished), as: UTF8.self)
    held.removeFirst(held.count - unfinished)
    return text
  }

  private mutating func strip(from start: Int) {
    let plan = tokenizer.pipeline.decoder
    var left = strips
    while left > 0, held.count > start {
      // Anything else ends the stripping.
      guard start == 0, held.starts(with: plan.stripped.bytes) else {
        strips = 0
        return
      }
      held.removeFirst(plan.stripped.bytes.count)
      left -= 1
    }
    if !plan.stripsEachToken || held.count > start {
      strips = plan.stripsEachToken ? 0 : left
    }
  }

  /// The end: what is still held back becomes U+FFFD. The decoder can then go on.
  public mutating func finish() -> String {
    let text = String(decoding: held, as: UTF8.self)
    held.removeAll()
    return text
  }
}
