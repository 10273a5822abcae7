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

  /// The name that commands and reports use, such as `q4`.
  public var name: String {
    switch self {
    case .f32: "f32"
    case .f16: "f16"
    case .q8: "q8"
    case .q4: "q4"
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
    }
  }

  /// Whether outlier steps may follow the tiles of a row group.
  public var allowsOutliers: Bool { self == .q8 || self == .q4 }
}
