extension TokenizerStep {
  /// Kind u8, flags u8, u16 0, u32 bytes of each string, both padded together to a multiple of 4.
  static let headerByteCount = 12

  func append(to form: inout [UInt8]) {
    form += [kind.rawValue, flags, 0, 0]
    form.append(littleEndian: first.count)
    form.append(littleEndian: second.count)
    form += first
    form += second
    while form.count % 4 != 0 { form.append(0) }
  }

  /// One score for each piece.
  init(scores: [Double]) {
    self.init(kind: .scores)
    first.reserveCapacity(8 * scores.count)
    for score in scores {
      first.append(littleEndian: Int(truncatingIfNeeded: score.bitPattern))
      first.append(littleEndian: Int(truncatingIfNeeded: score.bitPattern >> 32))
    }
  }

  /// A number in little-endian order at a place of a byte string; nil outside it.
  static func word(_ bytes: [UInt8], _ at: Int) -> UInt32? {
    guard at >= 0, bytes.count >= 4, at <= bytes.count - 4 else { return nil }
    return (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) }
  }

  static func words(_ values: UInt32...) -> [UInt8] {
    var bytes: [UInt8] = []
    for value in values { bytes.append(littleEndian: Int(value)) }
    return bytes
  }
}

extension SerializedReader {
  /// The steps between two places, checked for everything but their meaning.
  func steps(from start: Int, to end: Int) throws(TokenizerError) -> [TokenizerStep] {
    var steps: [TokenizerStep] = []
    var at = start
    while at < end {
      try expect(
        end - at >= TokenizerStep.headerByteCount, at, "a step", found: "the section's end")
      let kind: TokenizerStep.Kind = try self.kind(at, "a kind of step")
      try expect(word(at) >> 16 == 0, at + 2, "0")
      let (first, second) = (count(at + 4), count(at + 8))
      let body = at + TokenizerStep.headerByteCount
      // Both are below 2^32, so the sum of 64 bits cannot overflow.
      let next = body + (first + second + 3) & ~3
      try expect(next <= end, at, "a step within \(end - at) bytes")
      for padding in (body + first + second)..<next {
        try expect(byte(padding) == 0, padding, "padding of 0", found: "\(byte(padding))")
      }
      steps.append(
        .init(
          kind: kind, flags: byte(at + 1), first: bytes(body..<(body + first)),
          second: bytes((body + first)..<(body + first + second))))
      at = next
    }
    return steps
  }
}

extension [UInt8] {
  /// The low 32 bits.
  mutating func append(littleEndian value: Int) {
    for shift in stride(from: 0, to: 32, by: 8) {
      append(UInt8(truncatingIfNeeded: value >> shift))
    }
  }
}
