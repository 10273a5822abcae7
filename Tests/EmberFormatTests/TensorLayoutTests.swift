import EmberFormat
import Testing

@Suite struct TensorLayoutTests {
  @Test func figuresOfTheSpecification() throws {
    let q4 = try TensorLayout(type: .q4, rows: 17, columns: 172, outlierSteps: 3)
    #expect(q4.rowGroups == 2)
    #expect(q4.columnTiles == 3)
    #expect(q4.paddedRows == 32)
    #expect(q4.paddedColumns == 192)
    #expect(q4.rowGroupStride == 3 * 576 + 3 * 64)
    #expect(q4.byteCount == 2 * (3 * 576 + 3 * 64))
    #expect(q4.tileOffset(rowGroup: 1, columnTile: 2) == 3 * 576 + 3 * 64 + 2 * 576)
    #expect(q4.outlierOffset(rowGroup: 1) == 3 * 576 + 3 * 64 + 3 * 576)
    #expect(try TensorLayout(type: .q8, rows: 16, columns: 64).byteCount == 1088)
    #expect(try TensorLayout(type: .f16, rows: 1, columns: 1).byteCount == 2048)
    let f32 = try TensorLayout(type: .f32, rows: 3, columns: 5)
    #expect(f32.byteCount == 60)
    #expect(f32.paddedRows == 3)
    #expect(f32.paddedColumns == 5)
  }

  @Test(arguments: [(BlockType.q4n, 576), (.q5, 704), (.q6, 832)])
  func rowScalesComeFirst(_ type: BlockType, _ tileBytes: Int) throws {
    let layout = try TensorLayout(type: type, rows: 17, columns: 172, outlierSteps: 3)
    let stride = 64 + 3 * tileBytes + 3 * 64
    #expect(layout.rowGroupStride == stride)
    #expect(layout.byteCount == 2 * stride)
    #expect(layout.tileOffset(rowGroup: 0, columnTile: 0) == 64)
    #expect(layout.tileOffset(rowGroup: 1, columnTile: 2) == stride + 64 + 2 * tileBytes)
    #expect(layout.outlierOffset(rowGroup: 1) == stride + 64 + 3 * tileBytes)
    #expect(layout.paddedRows == 32)
    #expect(layout.paddedColumns == 192)
    #expect(try TensorLayout(type: type, rows: 1, columns: 1).byteCount == 64 + tileBytes)
  }

  @Test func numbersInFiles() {
    let numbers: [(BlockType, UInt32)] = [
      (.f32, 0), (.f16, 1), (.q8, 2), (.q4, 3), (.q4n, 4), (.q5, 5), (.q6, 6),
    ]
    #expect(numbers.count == BlockType.allCases.count)
    for (type, number) in numbers { #expect(BlockType(rawValue: number) == type) }
    #expect(BlockType(rawValue: 7) == nil)
  }

  @Test func names() {
    for type in BlockType.allCases { #expect(BlockType(name: type.name) == type) }
    #expect(BlockType(name: "q3") == nil)
  }

  @Test(arguments: BlockType.allCases, [0, -1, .min, .max, .max - 15, .max / 2, 1 << 40])
  func impossibleShapes(_ type: BlockType, _ count: Int) {
    #expect(throws: FormatError.self) {
      try TensorLayout(type: type, rows: count, columns: 1 << 30)
    }
    #expect(throws: FormatError.self) {
      try TensorLayout(type: type, rows: 1 << 30, columns: count)
    }
  }

  @Test func impossibleOutliers() {
    func outliers(_ type: BlockType, _ columns: Int, _ steps: Int) -> Bool {
      (try? TensorLayout(type: type, rows: 16, columns: columns, outlierSteps: steps)) != nil
    }
    #expect(outliers(.q4, 65_536, 1))
    #expect(outliers(.q8, 4, 4))
    #expect(!outliers(.q4, 65_537, 1))
    #expect(!outliers(.f16, 64, 1))
    #expect(!outliers(.f32, 64, 1))
    #expect(!outliers(.q4, 4, 5))
    #expect(!outliers(.q4, 64, -1))
    for type in [BlockType.q4n, .q5, .q6] {
      #expect(outliers(type, 65_536, 1))
      #expect(outliers(type, 4, 4))
      #expect(!outliers(type, 65_537, 1))
      #expect(!outliers(type, 4, 5))
    }
    #expect(!outliers(.q4, 64, .max))
  }
}
