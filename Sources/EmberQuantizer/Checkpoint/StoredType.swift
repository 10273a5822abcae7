/// An element type that weights are read from.
enum StoredType: String, Sendable, CaseIterable {
  /// IEEE 754 binary32.
  case float32 = "F32"
  /// IEEE 754 binary16.
  case float16 = "F16"
  /// The upper half of a binary32.
  case brainFloat16 = "BF16"

  /// Bytes of one element.
  var size: Int {
    switch self {
    case .float32: 4
    case .float16, .brainFloat16: 2
    }
  }
}
