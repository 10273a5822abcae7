/// How the numbers of one tensor are stored; the byte layouts are in `formats/model-file.md`.
///
/// `f32` is plain row-major, for norms and biases. The others are made of tiles of 16 rows by 64
/// columns, interleaved so that one 64-byte load feeds 16 rows of a matrix-vector product.
public enum BlockType: UInt32, CaseIterable, Sendable {
  /// IEEE single precision, row-major, without padding.
  case f32 = 0
  /// IEEE half precision, interleaved by 16 rows.
  case f16
  /// 8-bit codes in blocks of 32 columns with a half-precision scale: 8.5 bits per weight.
  case q8
  /// 4-bit codes in blocks of 32 columns with a half-precision scale: 4.5 bits per weight.
  case q4
  /// 4-bit codes of an uneven grid in groups of 16 columns, with an 8-bit scale each under one
  /// single-precision scale a row: 4.5 bits per weight and 4 bytes per row.
  case q4n
  /// 5-bit codes, grouped and scaled as `q4n`: 5.5 bits per weight.
  case q5
  /// 6-bit codes, likewise: 6.5 bits per weight.
  case q6

  /// The name that commands and reports use, such as `q4`.
  public var name: String {
    switch self {
    case .f32: "f32"
    case .f16: "f16"
    case .q8: "q8"
    case .q4: "q4"
    case .q4n: "q4n"
    case .q5: "q5"
    case .q6: "q6"
    }
  }

  /// The type of that name, or nil.
  public init?(name: String) {
    guard let type = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = type
  }

  /// Rows of one tile; an `f32` tile is a single element.
  public var tileRows: Int { self == .f32 ? 1 : 16 }

  /// Columns of one tile.
  public var tileColumns: Int { self == .f32 ? 1 : 64 }

  /// Bytes of one tile, scales included.
  public var tileBytes: Int {
    switch self {
    case .f32: 4
    case .f16: 2048  // 16 · 64 halves
    case .q8: 1088  // 2 · 16 half scales, 16 · 64 bytes
    case .q4: 576  // 2 · 16 half scales, 16 · 64 nibbles
    case .q4n: 576  // 4 · 16 scales, 16 · 64 nibbles
    case .q5: 704  // as q4n, and a bit for each weight
    case .q6: 832  // as q4n, and two bits for each weight
    }
  }

  /// Whether columns are in groups of 16 with 8-bit scales under the row's.
  public var isGrouped: Bool { self == .q4n || self == .q5 || self == .q6 }

  /// Bytes before the tiles of a row group: the scales of its rows.
  public var rowScaleBytes: Int { isGrouped ? 64 : 0 }

  /// Whether outlier steps may follow the tiles of a row group.
  public var allowsOutliers: Bool { self != .f32 && self != .f16 }

  /// Bits per weight of its tiles, scales included.
  public var bitsPerWeight: Double {
    self == .f32 ? 32 : Double(tileBytes) * 8 / Double(tileRows * tileColumns)
  }
}
