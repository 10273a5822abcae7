import Ember
import EmberFormat

/// What `ember inspect --outliers` prints.
struct OutlierReport: Encodable {
  var file: String
  var fileBytes: Int
  var outliers: Int
  var outlierShare: Double
  var outlierBytes: Int
  var matrices: [Matrix]
  var recurringColumns: [RecurringColumn]
  var histogram: [Bucket]

  struct Matrix: Encodable {
    var name: String
    var type: String
    var rows: Int
    var columns: Int
    var outliers: Int
    var outlierShare: Double
    var outlierBytes: Int
    var outlierSteps: Int
    var largestRatio: Float
    var carryingColumnCount: Int
    var carryingColumns: [Line]
    var prominentRowCount: Int
    var prominentRows: [Line]
  }

  struct Line: Encodable {
    var index: Int
    var outliers: Int
  }

  struct RecurringColumn: Encodable {
    var column: Int
    var layers: Int
    var firstLayer: Nullable<Int>
    var lastLayer: Nullable<Int>
    var matrices: Int
    var outliers: Int

    /// `17 (2–30)`
    fileprivate var layerWords: String {
      guard let first = firstLayer.value, let last = lastLayer.value else { return "0" }
      return "\(layers) (\(first)\(first == last ? "" : "–\(last)"))"
    }
  }

  struct Bucket: Encodable {
    var from: Double
    var to: Nullable<Double>
    var outliers: Int
  }

  init(_ survey: OutlierSurvey) {
    file = survey.file
    fileBytes = survey.fileBytes
    outliers = survey.count
    outlierShare = survey.weights == 0 ? 0 : Double(survey.count) / Double(survey.weights)
    outlierBytes = survey.bytes
    matrices = survey.matrices.map { matrix in
      Matrix(
        name: matrix.name, type: matrix.type.name, rows: matrix.rows, columns: matrix.columns,
        outliers: matrix.count, outlierShare: matrix.share, outlierBytes: matrix.bytes,
        outlierSteps: matrix.steps, largestRatio: matrix.largestRatio,
        carryingColumnCount: matrix.carryingColumnCount,
        carryingColumns: matrix.carryingColumns.map { Line(index: $0.index, outliers: $0.count) },
        prominentRowCount: matrix.prominentRowCount,
        prominentRows: matrix.prominentRows.map { Line(index: $0.index, outliers: $0.count) })
    }
    recurringColumns = survey.recurringColumns.map {
      RecurringColumn(
        column: $0.column, layers: $0.layers, firstLayer: Nullable($0.firstLayer),
        lastLayer: Nullable($0.lastLayer), matrices: $0.matrices, outliers: $0.count)
    }
    histogram = zip(OutlierSurvey.buckets, survey.histogram).map { bucket, count in
      Bucket(
        from: bucket.from, to: Nullable(bucket.to.isFinite ? bucket.to : nil), outliers: count)
    }
  }

  // MARK: Text

  var text: String {
    let summary = Listing.rendered([
      ("file", OneLine.escape(file)),
      (
        "outliers",
        "\(Format.grouped(outliers)) in \(matrices.count { $0.outliers > 0 }) of"
          + " \(matrices.count) matrices, \(Format.percent(outlierShare, 3)) of their weights"
      ),
      (
        "bytes",
        "\(Format.grouped(outlierBytes)), \(Format.percent(Double(outlierBytes) / Double(max(1, fileBytes)))) of"
          + " the file; 4 for each outlier, the others make rows equal"
      ),
    ])
    guard outliers > 0 else { return summary }
    return [summary, table, recurrence, bars].joined(separator: "\n")
  }

  private var table: String {
    TextTable(
      header: [
        "matrix", "type", "shape", "outliers", "share", "bytes", "largest", "columns (rows)",
        "rows (columns)",
      ],
      rows: matrices.filter { $0.outliers > 0 }.map { matrix in
        [
          matrix.name, matrix.type, "\(matrix.rows) × \(matrix.columns)",
          Format.grouped(matrix.outliers), Format.percent(matrix.outlierShare, 3),
          Format.grouped(matrix.outlierBytes),
          Format.significant(Double(matrix.largestRatio)) + " ×",
          Self.words(matrix.carryingColumns, of: matrix.carryingColumnCount, length: matrix.rows),
          Self.words(matrix.prominentRows, of: matrix.prominentRowCount, length: matrix.columns),
        ]
      },
      alignments: [.left, .left, .right, .right, .right, .right, .right, .left, .left]
    ).rendered(as: .listing)
      + "largest: |outlier| / (block's scale × largest code); columns: with outliers in 6 % of the"
      + " rows or more;\nrows: with four times the outliers of the mean row\n"
  }

  /// `23 (97 %), 175 (95 %), +3`
  private static func words(_ lines: [Line], of count: Int, length: Int) -> String {
    let shown = 4
    var words = lines.prefix(shown).map {
      "\($0.index) (\(Format.percent(Double($0.outliers) / Double(max(1, length)), 0)))"
    }
    if count > shown { words.append("+\(Format.grouped(count - shown))") }
    return words.isEmpty ? "–" : words.joined(separator: ", ")
  }

  private var recurrence: String {
    let shown = 20
    guard !recurringColumns.isEmpty else {
      return "no column of the residual stream carries outliers in two matrices or more\n"
    }
    let table = TextTable(
      header: ["column", "layers", "matrices", "outliers"],
      rows: recurringColumns.prefix(shown).map {
        ["\($0.column)", $0.layerWords, "\($0.matrices)", Format.grouped($0.outliers)]
      }, alignments: [])
    let rest = recurringColumns.count - shown
    return "columns of the residual stream that carry outliers in several matrices\n"
      + table.rendered(as: .listing) + (rest > 0 ? "and \(Format.grouped(rest)) more\n" : "")
  }

  private var bars: String {
    let most = histogram.map(\.outliers).max() ?? 0
    let names = histogram.indices.map(OutlierSurvey.bucketName)
    let width = names.map(\.count).max() ?? 0
    let counts = histogram.map { Format.grouped($0.outliers) }
    let countWidth = counts.map(\.count).max() ?? 0
    let lines = histogram.indices.map { index in
      // Whatever is there shows.
      let count = histogram[index].outliers
      let length = count == 0 ? 0 : max(1, Int(Double(count) / Double(most) * 50))
      let line =
        names[index].leftPadded(to: width) + " ×  " + counts[index].leftPadded(to: countWidth)
      return line + (length > 0 ? "  " + String(repeating: "#", count: length) : "") + "\n"
    }
    return "outliers by |outlier| / (block's scale × largest code)\n" + lines.joined()
  }
}
