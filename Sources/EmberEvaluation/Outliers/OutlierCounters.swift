import EmberFormat
import EmberModel

/// Which layer and what kind of matrix a tensor is, by its name.
struct Place {
  let layer: Int?
  let input: OutlierSurvey.Input

  init(_ name: String) {
    let parts = name.split(separator: ".", maxSplits: 2)
    guard parts.count == 3, parts[0] == "layers", let layer = Int(parts[1]) else {
      // The embedding, the head, learned positions: a column is a dimension of the stream.
      (self.layer, input) = (nil, .residual)
      return
    }
    self.layer = layer
    input =
      switch name {
      case TensorName.weight(TensorName.Matrix.attentionOutput, layer: layer): .attentionOutput
      case TensorName.weight(.down, layer: layer): .feedForward
      default: .residual
      }
  }
}

/// The outliers of one matrix by row and by column.
struct MatrixCounter {
  private(set) var count = 0
  private(set) var largestRatio: Float = 0
  /// Outliers of each; a tensor of the file has at least a byte per row and column.
  private(set) var rows, columns: [Int32]

  init(_ layout: TensorLayout) {
    let hasOutliers = layout.outlierSteps > 0
    rows = [Int32](repeating: 0, count: hasOutliers ? layout.rows : 0)
    columns = [Int32](repeating: 0, count: hasOutliers ? layout.columns : 0)
  }

  mutating func add(_ outlier: OutlierWalk.Outlier) {
    count += 1
    largestRatio = max(largestRatio, outlier.ratio)
    // Counts stay small: a row has at most 65,536 steps, and a hostile one cannot overflow 2^31
    // lanes of one column in less than 128 GB; wrapping around would only spoil a figure.
    rows[outlier.row] &+= 1
    columns[outlier.column] &+= 1
  }

  /// From how many outliers on a column carries them: 6 % of the rows, two at least.
  var carryingCount: Int { max(2, (rows.count * 6 + 99) / 100) }

  /// From how many outliers on a row stands out: four times the mean, four at least.
  var prominentCount: Int { max(4, (4 * count + rows.count - 1) / max(1, rows.count)) }

  /// The stretches that hold outliers, ascending, where the columns are cut into equal parts.
  func marks(parts: Int) -> [OutlierSurvey.Mark] {
    var marks: [OutlierSurvey.Mark] = []
    let manyCount = max(2, (4 * count + columns.count - 1) / max(1, columns.count))
    for (column, count) in columns.enumerated() where count > 0 {
      let part = column * parts / columns.count
      let level: OutlierSurvey.Mark.Level =
        count >= carryingCount ? .carrying : count >= manyCount ? .many : .few
      if let last = marks.last, last.part == part {
        marks[marks.count - 1].level = max(last.level, level)
      } else {
        marks.append(.init(part: part, level: level))
      }
    }
    return marks
  }
}

/// Columns of the residual stream over all matrices that read it.
struct RecurrenceCounter {
  private var matrices, layers, counts: [Int]
  /// −1 where there is none.
  private var firstLayer, lastLayer: [Int]

  /// - Parameter columns: width of the stream.
  init(columns: Int) {
    matrices = [Int](repeating: 0, count: columns)
    (layers, counts) = (matrices, matrices)
    firstLayer = [Int](repeating: -1, count: columns)
    lastLayer = firstLayer
  }

  /// Matrices of one layer must come one after another.
  mutating func add(_ counter: MatrixCounter, layer: Int?) {
    let least = counter.carryingCount
    for (column, count) in counter.columns.enumerated()
    where count >= least && column < matrices.count {
      matrices[column] += 1
      counts[column] += Int(count)
      if let layer, lastLayer[column] != layer {
        if layers[column] == 0 { firstLayer[column] = layer }
        lastLayer[column] = layer
        layers[column] += 1
      }
    }
  }

  /// Those in two matrices or more; the most layers first, then the most matrices and outliers.
  var columns: [OutlierSurvey.RecurringColumn] {
    matrices.indices.filter { matrices[$0] >= 2 }
      .map {
        .init(
          column: $0, matrices: matrices[$0], layers: layers[$0],
          firstLayer: layers[$0] > 0 ? firstLayer[$0] : nil,
          lastLayer: layers[$0] > 0 ? lastLayer[$0] : nil, count: counts[$0])
      }
      .sorted {
        ($1.layers, $1.matrices, $1.count, $0.column)
          < ($0.layers, $0.matrices, $0.count, $1.column)
      }
  }
}
