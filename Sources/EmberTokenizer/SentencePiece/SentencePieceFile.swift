/// A SentencePiece `tokenizer.model`: what encoding needs of `sentencepiece_model.proto`.
struct SentencePieceFile {
  enum PieceType: UInt64 {
    case normal = 1
    case unknown = 2
    case control = 3
    case userDefined = 4
    case unused = 5
    case byte = 6
  }

  struct Piece {
    var bytes: [UInt8] = []
    var score: Float = 0
    var type = PieceType.normal
  }

  private(set) var pieces: [Piece] = []
  /// 1 Unigram, 2 BPE, 3 words, 4 characters.
  private(set) var modelType: UInt64 = 1
  private(set) var hasByteFallback = false
  private(set) var spacesAreSuffixes = false
  private(set) var beginOfSequence = 1
  private(set) var endOfSequence = 2
  private(set) var characterMap: [UInt8] = []
  private(set) var addsDummyPrefix = true
  private(set) var removesExtraSpaces = true
  private(set) var escapesSpaces = true

  private let path: String

  /// Real vocabularies have up to 300,000.
  private static let pieceLimit = 1 << 22

  init(_ bytes: [UInt8], path: String) throws(TokenizerError) {
    self.path = path
    var message = ProtocolBuffer(bytes, 0..<bytes.count, path: path)
    while let (field, value) = try message.next() {
      guard case .bytes(let range) = value else { continue }
      switch field {
      case 1: try addPiece(bytes, range)
      case 2: try readTraining(bytes, range)
      case 3: try readNormalizer(bytes, range)
      default: break
      }
    }
    if pieces.isEmpty {
      throw .invalidField(
        path: path, field: "pieces", expected: "a SentencePiece model with pieces", found: "none")
    }
  }

  private mutating func addPiece(_ bytes: [UInt8], _ range: Range<Int>) throws(TokenizerError) {
    guard pieces.count < Self.pieceLimit else {
      throw .invalidField(
        path: path, field: "pieces", expected: "at most \(Self.pieceLimit)", found: "more")
    }
    var piece = Piece()
    var message = ProtocolBuffer(bytes, range, path: path)
    while let (field, value) = try message.next() {
      switch (field, value) {
      case (1, .bytes(let text)): piece.bytes = Array(bytes[text])
      case (2, .word(let score)): piece.score = Float(bitPattern: score)
      case (3, .number(let number)):
        guard let type = PieceType(rawValue: number) else {
          throw .invalidField(
            path: path, field: "pieces[\(pieces.count)].type", expected: "1 to 6",
            found: "\(number)")
        }
        piece.type = type
      default: break
      }
    }
    guard !piece.bytes.isEmpty, String(validating: piece.bytes, as: UTF8.self) != nil else {
      throw .invalidField(
        path: path, field: "pieces[\(pieces.count)].piece", expected: "UTF-8 text, not empty",
        found: "\(piece.bytes.count) bytes")
    }
    pieces.append(piece)
  }

  private mutating func readTraining(_ bytes: [UInt8], _ range: Range<Int>) throws(TokenizerError) {
    var message = ProtocolBuffer(bytes, range, path: path)
    while let (field, value) = try message.next() {
      guard case .number(let number) = value else { continue }
      // Negative ids mean "none"; they come as large numbers of 64 bits.
      let id = Int(Int32(truncatingIfNeeded: number))
      switch field {
      case 3: modelType = number
      case 24: spacesAreSuffixes = number != 0
      case 35: hasByteFallback = number != 0
      case 41: beginOfSequence = id
      case 42: endOfSequence = id
      default: break
      }
    }
  }

  private mutating func readNormalizer(
    _ bytes: [UInt8], _ range: Range<Int>
  ) throws(TokenizerError) {
    var message = ProtocolBuffer(bytes, range, path: path)
    while let (field, value) = try message.next() {
      switch (field, value) {
      case (2, .bytes(let map)): characterMap = Array(bytes[map])
      case (3, .number(let number)): addsDummyPrefix = number != 0
      case (4, .number(let number)): removesExtraSpaces = number != 0
      case (5, .number(let number)): escapesSpaces = number != 0
      default: break
      }
    }
  }
}
