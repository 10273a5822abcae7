import Ember
import EmberTestSupport
import Foundation
import Testing

struct OutlierSurveyTests {
  /// What the pages of the format say of one tensor, read from the file's bytes alone.
  private struct Counted: Equatable {
    var count = 0
    var byColumn: [Int: Int] = [:]
    var byRow: [Int: Int] = [:]
    /// By the largest power of two that is not above the ratio; 0 below 1.
    var histogram = [Int](repeating: 0, count: 10)
    var largest = 0.0

    init(_ bytes: [UInt8], _ tensor: TensorRecord) {
      func u16(_ at: Int) -> Int { Int(bytes[at]) | Int(bytes[at + 1]) << 8 }
      func half(_ at: Int) -> Double {
        let (exponent, fraction) = (u16(at) >> 10 & 31, Double(u16(at) & 1023))
        let size =
          exponent == 0 ? fraction * pow(2, -24) : (1024 + fraction) * pow(2, Double(exponent - 25))
        return u16(at) > 0x7FFF ? -size : size
      }
      let (rows, columns) = (tensor.layout.rows, tensor.layout.columns)
      // Bytes of a tile, bytes before the tiles, and the largest level of a code.
      let pages = [
        "q8": (1088, 0, 127.0), "q4": (576, 0, 8), "q4n": (576, 64, 32), "q5": (704, 64, 16),
        "q6": (832, 64, 32),
      ]
      let (tileBytes, before, level) = pages[tensor.layout.type.name] ?? (0, 0, 0)
      let tiles = (columns + 63) / 64
      let steps = tensor.layout.outlierSteps
      let stride = before + tiles * tileBytes + 64 * steps
      /// The scale of a weight's block.
      func scale(_ start: Int, _ lane: Int, _ column: Int) -> Double {
        let tile = start + before + column / 64 * tileBytes
        if before == 0 { return half(tile + 32 * (column % 64 / 32) + 2 * lane) }
        let at = start + 4 * lane
        let single = Float(bitPattern: UInt32(u16(at)) | UInt32(u16(at + 2)) << 16)
        let place = tile + 32 * (column % 64 / 32) + 2 * lane + column % 32 / 16
        return Double(single * Float(Int8(bitPattern: bytes[place])))
      }
      for group in 0..<(rows + 15) / 16 {
        for step in 0..<steps {
          let start = tensor.offset + group * stride + before + tiles * tileBytes + 64 * step
          for lane in 0..<16 where u16(start + 2 * lane) != 0 || u16(start + 32 + 2 * lane) != 0 {
            let (column, row) = (u16(start + 2 * lane), 16 * group + lane)
            count += 1
            byColumn[column, default: 0] += 1
            byRow[row, default: 0] += 1
            let reach = abs(scale(tensor.offset + group * stride, lane, column)) * level
            let value = abs(half(start + 32 + 2 * lane))
            let ratio = value == 0 ? 0 : value / reach
            largest = max(largest, ratio)
            histogram[ratio < 1 ? 0 : min(9, 1 + Int(log2(ratio).rounded(.down)))] += 1
          }
        }
      }
    }
  }

  private static func bytes(_ model: Model) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(filePath: model.file.path.string)))
  }

  @Test(
    "counts are those of the file's bytes",
    arguments: [
      (4, OutlierBudget.percent(0.5)), (4, .percent(2)), (5, .percent(1)), (8, .percent(1)),
    ])
  func counts(_ bits: Int, _ outliers: OutlierBudget) throws {
    let model = try ConvertedModel.bundled(bits: bits, outliers: outliers).model
    let bytes = try Self.bytes(model)
    let survey = try OutlierSurvey(of: model)
    let tensors = model.file.tensors.filter { $0.layout.type.allowsOutliers }
    #expect(survey.matrices.map(\.name) == tensors.map(\.name))
    var histogram = [Int](repeating: 0, count: 10)
    var total = 0
    for (matrix, tensor) in zip(survey.matrices, tensors) {
      let counted = Counted(bytes, tensor)
      #expect(matrix.count == counted.count, "\(matrix.name)")
      #expect(matrix.bytes == (tensor.layout.rows + 15) / 16 * tensor.layout.outlierSteps * 64)
      #expect(abs(Double(matrix.largestRatio) - counted.largest) <= 1e-6 * counted.largest)
      // 6 % of the rows, two at least; and four times the mean, four at least.
      let columns = counted.byColumn.filter {
        $0.value >= 2 && 100 * $0.value >= 6 * tensor.layout.rows
      }
      #expect(matrix.carryingColumnCount == columns.count, "\(matrix.name)")
      #expect(matrix.carryingColumns.count == min(columns.count, OutlierSurvey.listLength))
      for line in matrix.carryingColumns { #expect(columns[line.index] == line.count) }
      let rows = counted.byRow.filter {
        $0.value >= 4 && $0.value * tensor.layout.rows >= 4 * counted.count
      }
      #expect(matrix.prominentRowCount == rows.count, "\(matrix.name)")
      for line in matrix.prominentRows { #expect(rows[line.index] == line.count) }
      for index in histogram.indices { histogram[index] += counted.histogram[index] }
      total += counted.count
      // Every column with outliers is marked, and no other: there are fewer columns than parts,
      // or several to a part.
      let parts = min(tensor.layout.columns, OutlierSurvey.maximumParts)
      let marked = Set(counted.byColumn.keys.map { $0 * parts / tensor.layout.columns })
      #expect(matrix.marks.map(\.part) == marked.sorted())
      let carrying = Set(columns.keys.map { $0 * parts / tensor.layout.columns })
      #expect(Set(matrix.marks.filter { $0.level == .carrying }.map(\.part)) == carrying)
    }
    #expect(total > 1000)
    #expect(survey.count == total)
    #expect(survey.histogram == histogram)
    #expect(survey.weights == tensors.reduce(0) { $0 + $1.layout.rows * $1.layout.columns })
  }

  @Test("a file without outliers has none")
  func none() throws {
    let survey = try OutlierSurvey(of: ConvertedModel.bundled(bits: 4).model)
    #expect(survey.count == 0 && survey.bytes == 0 && survey.recurringColumns.isEmpty)
    #expect(survey.matrices.allSatisfy { $0.marks.isEmpty && $0.largestRatio == 0 })
    _ = try SVGElements(survey.svg())
    let half = try OutlierSurvey(of: ConvertedModel.bundled(bits: 16).model)
    #expect(half.matrices.isEmpty && half.weights == 0)
    _ = try SVGElements(half.svg())
  }

  @Test("the picture marks every matrix that has outliers")
  func picture() throws {
    let survey = try OutlierSurvey(of: ConvertedModel.bundled(bits: 4, outliers: .percent(2)).model)
    let elements = try SVGElements(survey.svg())
    let colours = elements.named("path").compactMap { $0.attributes["stroke"] }
    // A stroke for the key, one below each matrix, and those of the marks.
    #expect(colours.count >= 2 + 2 * survey.matrices.count)
    let texts = Set(elements.named("text").map(\.text))
    for text in ["embedding", "0  attention.query", "2  feed_forward.down", "1–2", "256 +"] {
      #expect(texts.contains(text), "\(text)")
    }
    #expect(survey.svg() == survey.svg())
  }

  @Test("outliers that point outside, or are no numbers, are an error")
  func damaged() throws {
    let model = try ConvertedModel.bundled(bits: 4, outliers: .percent(2)).model
    let folder = try TemporaryFolder()
    let tensor = try #require(
      model.file.tensors.first { $0.layout.outlierSteps > 0 && $0.layout.type == .q4n })
    let step = tensor.offset + tensor.layout.outlierOffset(rowGroup: 1)
    let good = try Self.bytes(model)
    // The upper half of the first row's scale, a single at the beginning of the group.
    let scale = tensor.offset + tensor.layout.rowGroupStride + 2
    for (offset, value, words) in [
      (step, UInt16(tensor.layout.columns), "outliers in columns below"),
      (step, 0xFFFF, "outliers in columns below"), (step + 32, 0x7C00, "finite outliers"),
      (step + 32, 0xFE01, "finite outliers"), (scale, 0x7FC0, "a finite scale"),
    ] {
      var bytes = good
      bytes[offset] = UInt8(value & 255)
      bytes[offset + 1] = UInt8(value >> 8)
      let path = folder.path("damaged")
      try Data(bytes).write(to: URL(filePath: path.string))
      let damaged = try Model(opening: path)
      let error = #expect(throws: FormatError.self) { try OutlierSurvey(of: damaged) }
      #expect(error?.category == .damaged)
      #expect(error?.description.contains(words) == true, "\(String(describing: error))")
      #expect(error?.description.contains(tensor.name) == true)
    }
  }

  @Test(
    "columns 64 times their neighbours are found in every matrix that reads them",
    // The model with such columns is too large for the repository.
    .enabled(if: TestData.hasShared), arguments: [4, 8])
  func emergent(_ bits: Int) throws {
    let model = try ConvertedModel.shared(
      "novel-llama-emergent", bits: bits, outliers: .automatic, folding: false
    ).model
    let survey = try OutlierSurvey(of: model)
    // The columns that were scaled: of the norm before attention and of that before feed-forward.
    let channels = [[23, 175, 108, 201], [104, 120, 11, 231], [100, 135, 21, 33]]
    #expect(
      Set(survey.recurringColumns.prefix(12).map(\.column)) == Set(channels.joined()))
    for recurring in survey.recurringColumns.prefix(12) {
      let layer = try #require(recurring.firstLayer)
      let index = try #require(channels[layer].firstIndex(of: recurring.column))
      #expect(recurring.layers == 1 && recurring.lastLayer == layer)
      #expect(recurring.matrices == (index < 2 ? 3 : 2))
    }
    // They stand far outside their blocks.
    #expect(survey.histogram[4...].reduce(0, +) > survey.count / 3)
  }
}
