/// An element type that weights are read from: single numbers, or blocks of them under a scale.
enum StoredType: String, Sendable, CaseIterable {
  /// IEEE 754 binary64; rounded to binary32 as it is read.
  case float64 = "F64"
  /// IEEE 754 binary32.
  case float32 = "F32"
  /// IEEE 754 binary16.
  case float16 = "F16"
  /// The upper half of a binary32.
  case brainFloat16 = "BF16"
  /// Integers of eight bits, whose scales lie elsewhere (llama2.c version 2).
  case int8 = "I8"
  // The block types of GGUF. Those with a 1 have a minimum beside the scale; those with a K are
  // blocks of 256 with small scales for parts of them.
  case q8x0 = "Q8_0"
  case q4x0 = "Q4_0"
  case q4x1 = "Q4_1"
  case q5x0 = "Q5_0"
  case q5x1 = "Q5_1"
  case q4K = "Q4_K"
  case q5K = "Q5_K"
  case q6K = "Q6_K"

  /// Elements of one block; 1 where each stands for itself.
  var blockElements: Int {
    switch self {
    case .float64, .float32, .float16, .brainFloat16, .int8: 1
    case .q8x0, .q4x0, .q4x1, .q5x0, .q5x1: 32
    case .q4K, .q5K, .q6K: 256
    }
  }

  /// Bytes of one block.
  var blockBytes: Int {
    switch self {
    case .float64: 8
    case .float32: 4
    case .float16, .brainFloat16: 2
    case .int8: 1
    case .q8x0: 34
    case .q4x0: 18
    case .q4x1: 20
    case .q5x0: 22
    case .q5x1: 24
    case .q4K: 144
    case .q5K: 176
    case .q6K: 210
    }
  }

  /// Whether storing in this type was a rounding to a few levels.
  var isQuantized: Bool { self == .int8 || blockElements > 1 }

  /// Bytes of a number of elements, of whole blocks; nil where it does not fit in 64 bits.
  func byteCount(of elements: Int) -> Int? {
    let (bytes, overflow) = (elements / blockElements).multipliedReportingOverflow(by: blockBytes)
    return overflow ? nil : bytes
  }
}
