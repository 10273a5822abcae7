public import EmberFormat
public import EmberModel

/// Where a model file keeps weights in fp16 beside their blocks, counted.
///
/// ```swift
/// let survey = try OutlierSurvey(of: model)
/// for matrix in survey.matrices { print(matrix.name, matrix.count) }
/// ```
///
/// A column of a matrix *carries* outliers where they are in at least 6 % of its rows, and in two at
/// least: the share of positions by which Dettmers et al. 2022 (LLM.int8(), section 4) tell a feature
/// dimension from chance. Columns of matrices that read the residual stream are the same dimension in
/// every layer, so those that carry outliers in several matrices are listed together.
///
/// It is made in one pass over the outliers, keeping counters alone: memory does not grow with
/// their number.
public struct OutlierSurvey: Sendable {
  public let file: String
  public let fileBytes: Int
  /// All matrices in blocks that may have outliers, by layer, in the order of the file.
  public private(set) var matrices: [Matrix] = []
  /// Weights of these matrices.
  public private(set) var weights = 0
  /// Columns of the residual stream that carry outliers in at least two matrices, those in most
  /// first.
  public private(set) var recurringColumns: [RecurringColumn] = []
  /// Every outlier by its ratio, see `buckets`.
  public private(set) var histogram = [Int](repeating: 0, count: Self.bucketCount)

  public var count: Int { matrices.reduce(0) { $0 + $1.count } }
  /// Bytes of the file that outlier steps take, unused lanes included.
  public var bytes: Int { matrices.reduce(0) { $0 + $1.bytes } }

  /// What a matrix multiplies, which says what its columns are.
  public enum Input: Int, Sendable, CaseIterable {
    /// The residual stream: the same dimensions in every layer.
    case residual
    /// Heads' outputs, of one layer only.
    case attentionOutput
    /// Inside of the feed-forward, of one layer only.
    case feedForward
  }

  /// One matrix.
  public struct Matrix: Sendable {
    public let name: String
    /// nil outside the layers.
    public let layer: Int?
    public let input: Input
    public let type: BlockType
    public let rows, columns: Int
    public let count: Int
    /// Outliers that each row has room for.
    public let steps: Int
    public let bytes: Int
    /// Of |outlier| to the largest magnitude its block reaches; 0 where there are none.
    public let largestRatio: Float
    /// Carrying columns: outliers and index, the fullest `listLength` of them.
    public let carryingColumns: [Line]
    public let carryingColumnCount: Int
    /// Rows with at least four times the mean of the matrix's rows, and four at least; likewise.
    public let prominentRows: [Line]
    public let prominentRowCount: Int
    /// For the picture: parts of `columns / parts` columns each that hold outliers.
    package let marks: [Mark]

    public var share: Double { Double(count) / Double(rows * columns) }
  }

  /// A row or column and its outliers.
  public struct Line: Sendable, Equatable {
    public let index: Int
    public let count: Int
  }

  public struct RecurringColumn: Sendable, Equatable {
    public let column: Int
    /// In which it carries outliers.
    public let matrices: Int
    /// In which there is such a matrix; with the first and the last of them, nil where there is
    /// none.
    public let layers: Int
    public let firstLayer, lastLayer: Int?
    /// In these matrices.
    public let count: Int
  }

  /// A stretch of columns with outliers.
  package struct Mark: Sendable, Equatable {
    package let part: Int
    /// Of its fullest column.
    package var level: Level

    package enum Level: Int, Sendable, CaseIterable, Comparable {
      case few
      /// Four times as many as the matrix's mean column, and two at least.
      case many
      /// In 6 % of the rows.
      case carrying

      package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
    }
  }

  public static let listLength = 8
  /// The most parts that the columns of a matrix are drawn in.
  package static let maximumParts = 600

  // MARK: Histogram

  private static let bucketCount = 10
  /// Bounds of the buckets: a ratio of at least the first and below the second. The last is open.
  public static let buckets: [(from: Double, to: Double)] = (0..<bucketCount).map { index in
    (
      index == 0 ? 0 : Double(1 << (index - 1)),
      index == bucketCount - 1 ? .infinity : Double(1 << index)
    )
  }

  private static func bucket(_ ratio: Float) -> Int {
    guard ratio >= 1 else { return 0 }
    // Powers of two: the exponent is the bucket. Infinity's is beyond the last.
    return min(bucketCount - 1, ratio.isFinite ? Int(ratio.exponent) + 1 : bucketCount)
  }

  // MARK: Counting

  /// - Throws: `FormatError.damaged` where outliers are not what the specification says.
  public init(of model: Model) throws(FormatError) {
    file = model.file.path.string
    fileBytes = model.file.fileBytes
    var recurring = RecurrenceCounter(columns: model.architecture.width)
    // Layer by layer, so that a layer's matrices stand together whatever the file's order.
    let records = model.file.tensors.enumerated().filter { $0.element.layout.type.allowsOutliers }
      .map { (place: Place($0.element.name), index: $0.offset, record: $0.element) }
      .sorted { ($0.place.layer ?? -1, $0.index) < ($1.place.layer ?? -1, $1.index) }
    for (place, _, record) in records {
      try add(record, at: place, of: model.file, &recurring)
    }
    recurringColumns = recurring.columns
  }

  private mutating func add(
    _ record: TensorRecord, at place: Place, of file: ModelFile,
    _ recurring: inout RecurrenceCounter
  ) throws(FormatError) {
    let layout = record.layout
    weights += layout.rows * layout.columns
    var counter = MatrixCounter(layout)
    try OutlierWalk(record, of: file).visit { outlier in
      counter.add(outlier)
      histogram[Self.bucket(outlier.ratio)] += 1
    }
    // The steps touched pages all over the tensor, which nobody needs any more.
    file.advise(.dontNeed, record.offset..<record.offset + record.byteCount)
    if place.input == .residual { recurring.add(counter, layer: place.layer) }
    matrices.append(
      Matrix(
        name: record.name, layer: place.layer, input: place.input, type: layout.type,
        rows: layout.rows, columns: layout.columns, count: counter.count,
        steps: layout.outlierSteps,
        // A part of the tensor's bytes, which fit an Int.
        bytes: layout.outlierSteps == 0
          ? 0 : layout.rowGroups * layout.outlierSteps * TensorLayout.outlierStepBytes,
        largestRatio: counter.largestRatio,
        carryingColumns: Self.fullest(counter.columns, counter.carryingCount),
        carryingColumnCount: counter.columns.count { $0 >= counter.carryingCount },
        prominentRows: Self.fullest(counter.rows, counter.prominentCount),
        prominentRowCount: counter.rows.count { $0 >= counter.prominentCount },
        marks: counter.marks(parts: min(layout.columns, Self.maximumParts))))
  }

  private static func fullest(_ counts: [Int32], _ least: Int) -> [Line] {
    let lines = counts.enumerated().filter { $0.element >= least }
      .sorted { ($1.element, $0.offset) < ($0.element, $1.offset) }
    return lines.prefix(listLength).map { Line(index: $0.offset, count: Int($0.element)) }
  }
}
