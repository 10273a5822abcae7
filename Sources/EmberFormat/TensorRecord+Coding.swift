import SystemPackage

extension TensorRecord {
  /// Bytes of one record of the directory.
  static let encodedBytes = 192
  static let maximumNameBytes = 96

  /// Names are kept to characters that are safe in a terminal, a path and every language's string.
  static func isValidName(_ name: some Collection<UInt8>) -> Bool {
    !name.isEmpty && name.count <= maximumNameBytes
      && name.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
          UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }

  func encode(into bytes: inout [UInt8], at start: Int) {
    let utf8 = Array(name.utf8)
    bytes.replaceSubrange(start..<(start + utf8.count), with: utf8)
    bytes.store(littleEndian: layout.type.rawValue, at: start + 96)
    bytes.store(littleEndian: UInt32(layout.outlierSteps), at: start + 100)
    bytes.store(littleEndian: UInt64(layout.rows), at: start + 104)
    bytes.store(littleEndian: UInt64(layout.columns), at: start + 112)
    bytes.store(littleEndian: UInt64(offset), at: start + 120)
    bytes.store(littleEndian: UInt64(byteCount), at: start + 128)
    bytes.store(littleEndian: UInt64(outlierCount), at: start + 136)
    bytes.store(littleEndian: relativeError.bitPattern, at: start + 160)
    bytes.store(littleEndian: checksum, at: start + 164)
    bytes.store(littleEndian: UInt32(extent), at: start + 168)
  }

  /// Record `index` of the directory, checked by itself; its place is checked by `Contents`.
  init(_ bytes: [UInt8], index: Int, path: FilePath) throws(FormatError) {
    let start = index * Self.encodedBytes
    let field = bytes[start..<(start + Self.maximumNameBytes)]
    let utf8 = field.prefix { $0 != 0 }
    guard Self.isValidName(utf8), field.dropFirst(utf8.count).allSatisfy({ $0 == 0 }) else {
      throw .damaged(
        path, place: "name of tensor \(index)",
        expected: "1 to 96 of the characters A-Z a-z 0-9 . _ -, then zeros",
        found: "other bytes")
    }
    let name = String(decoding: utf8, as: UTF8.self)
    let place = "tensor '\(name)'"

    let typeNumber = bytes.littleEndian(UInt32.self, at: start + 96)
    guard let type = BlockType(rawValue: typeNumber) else {
      throw .unsupportedBlockType(path, tensor: name, found: typeNumber)
    }
    func count(_ what: String, at offset: Int) throws(FormatError) -> Int {
      let value = bytes.littleEndian(UInt64.self, at: start + offset)
      guard let count = Int(exactly: value) else {
        throw .damaged(path, place: "\(place): \(what)", expected: "a count", found: "\(value)")
      }
      return count
    }
    let rows = try count("rows", at: 104)
    let columns = try count("columns", at: 112)
    let steps = Int(bytes.littleEndian(UInt32.self, at: start + 100))
    do {
      layout = try TensorLayout(type: type, rows: rows, columns: columns, outlierSteps: steps)
    } catch {
      guard case .invalidLayout(let reason) = error else { throw error }
      throw .damaged(path, place: place, expected: "a possible layout", found: reason)
    }
    self.name = name
    offset = try count("offset", at: 120)
    checksum = bytes.littleEndian(UInt32.self, at: start + 164)
    extent = Int(bytes.littleEndian(UInt32.self, at: start + 168))
    relativeError = Float(bitPattern: bytes.littleEndian(UInt32.self, at: start + 160))
    outlierCount = try count("outlier count", at: 136)

    let byteCount = try count("byte count", at: 128)
    guard byteCount == layout.byteCount else {
      throw .damaged(
        path, place: "\(place): byte count", expected: "\(layout.byteCount), by its shape",
        found: "\(byteCount)")
    }
    if let reason = Self.complaint(
      layout: layout, outlierCount: outlierCount, relativeError: relativeError)
    {
      throw .damaged(path, place: place, expected: reason.expected, found: reason.found)
    }
    let auxiliary = bytes[(start + 144)..<(start + 160)]
    let reserved = bytes[(start + 172)..<(start + Self.encodedBytes)]
    guard auxiliary.allSatisfy({ $0 == 0 }), reserved.allSatisfy({ $0 == 0 }) else {
      throw .damaged(
        path, place: "\(place): reserved bytes", expected: "0", found: "other values")
    }
  }

  /// What is wrong with the two measured values, for reader and writer alike.
  static func complaint(
    layout: TensorLayout, outlierCount: Int, relativeError: Float
  ) -> (expected: String, found: String)? {
    // One lane per row and step. Does not overflow: byteCount holds 4 bytes for each lane.
    let lanes = layout.rows * layout.outlierSteps
    guard (0...lanes).contains(outlierCount) else {
      return ("at most \(lanes) outliers in \(layout.outlierSteps) steps", "\(outlierCount)")
    }
    guard relativeError.isFinite, relativeError >= 0 else {
      return ("a relative error of 0 or more", "\(relativeError)")
    }
    return nil
  }
}
