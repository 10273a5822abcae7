import EmberFormat
import EmberModel

/// One tensor of a file to be written, and the rows of the model file that it consists of.
struct ExportTensor {
  /// In the format's own words.
  var name: String
  /// Dimensions, the slowest first.
  var shape: [Int]
  var type: ElementType
  var rows: StackedRows
  /// What is taken off each element: formats that store gains less 1.
  var subtrahend: Float = 0
  /// Written column after column, which is what `shape` then says.
  var isTransposed = false
  /// Rows of zeros before all others.
  var leadingRows = 0

  enum ElementType {
    case float32, float16, q8x0
  }

  var elementCount: Int { shape.reduce(1, *) }

  /// Bytes of the tensor; Q8_0 has whole blocks in every row.
  var byteCount: Int {
    switch type {
    case .float32: 4 * elementCount
    case .float16: 2 * elementCount
    case .q8x0: elementCount / 32 * 34
    }
  }
}

/// Rows of several tensors of a model file, stacked: one after the other, or head by head.
struct StackedRows {
  struct Part {
    var tensor: TensorRecord
    var order = RowOrder.same
    /// Powers of two that the columns are multiplied with.
    var columnFactors: [Float]?
  }

  /// All of the same number of columns; vectors are columns of one element each.
  var parts: [Part]
  /// Rows of each part before those of the next, from the first again after the last; nil for all
  /// rows of a part.
  var chunk: Int?
  /// What is written instead of anything in the file.
  var constants: [Float]?

  static func constants(_ values: [Float]) -> StackedRows {
    StackedRows(parts: [], constants: values)
  }

  /// Rows of a matrix, elements of a vector.
  static func outputs(of tensor: TensorRecord) -> Int {
    isVector(tensor) ? tensor.layout.columns : tensor.layout.rows
  }

  /// Only vectors are in single precision.
  static func isVector(_ tensor: TensorRecord) -> Bool { tensor.layout.type == .f32 }

  /// The part that a row comes from, and its row there.
  func source(of row: Int) -> (part: Int, row: Int) {
    if let chunk {
      let (block, inner) = row.quotientAndRemainder(dividingBy: chunk)
      let (round, part) = block.quotientAndRemainder(dividingBy: parts.count)
      return (part, parts[part].order.source(of: round * chunk + inner))
    }
    var row = row
    for (index, part) in parts.enumerated() {
      let outputs = Self.outputs(of: part.tensor)
      if row < outputs { return (index, part.order.source(of: row)) }
      row -= outputs
    }
    // The plan's shapes are sums of the parts'.
    return (parts.count - 1, 0)
  }
}

/// The order in which the outputs of a query or key matrix are written: formats differ in which
/// elements of a head turn together.
enum RowOrder: Equatable {
  case same
  /// Elements 2i and 2i + 1 of the file's heads become i and i + dimensions/2.
  case halves(headDimension: Int, dimensions: Int)
  /// The way back.
  case adjacent(headDimension: Int, dimensions: Int)

  init(
    from: Architecture.RotaryPairing, to: Architecture.RotaryPairing, headDimension: Int,
    dimensions: Int
  ) {
    self =
      if from == to {
        .same
      } else if to == .halves {
        .halves(headDimension: headDimension, dimensions: dimensions)
      } else {
        .adjacent(headDimension: headDimension, dimensions: dimensions)
      }
  }

  /// The row of the file that is written as this one.
  func source(of row: Int) -> Int {
    switch self {
    case .same: return row
    case .halves(let headDimension, let dimensions):
      let (head, inner) = row.quotientAndRemainder(dividingBy: headDimension)
      guard inner < dimensions else { return row }
      let (half, pair) = inner.quotientAndRemainder(dividingBy: dimensions / 2)
      return head * headDimension + 2 * pair + half
    case .adjacent(let headDimension, let dimensions):
      let (head, inner) = row.quotientAndRemainder(dividingBy: headDimension)
      guard inner < dimensions else { return row }
      return head * headDimension + inner / 2 + inner % 2 * (dimensions / 2)
    }
  }
}
