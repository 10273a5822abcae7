import EmberFormat
import EmberKernels
import EmberQuantizer
import Testing

/// Rows in groups of 16 under two levels of scales: q4n, q5 and q6.
struct RowEncoderTests {
  static let types: [BlockType] = [.q4n, .q5, .q6]

  /// Weights of about one size, with one in forty four to eight times as large.
  static func weights(_ count: Int, seed: UInt64) -> [Float] {
    var random = RandomFloats(seed: seed)
    return (0..<count).map { _ in
      let rare = random.next() > 0.95
      let value = random.next() + random.next() + random.next()
      return rare ? 8 * value : value
    }
  }

  /// A row with so many outliers taken out, as the converter writes it.
  static func encoded(
    _ row: [Float], _ type: BlockType, columns: Int? = nil, importance: [Float]? = nil,
    outliers: Int = 0
  ) -> RowEncoder {
    let encoder = RowEncoder(type: type, columns: columns ?? row.count, importance: importance)
    encode(row, with: encoder, outliers: outliers)
    return encoder
  }

  private static func encode(_ row: [Float], with encoder: RowEncoder, outliers: Int) {
    row.withUnsafeBufferPointer { row in
      if let base = row.baseAddress { encoder.load(base) }
    }
    while encoder.outliers.count < outliers, encoder.takeOutlier() != nil {}
    encoder.finish()
  }

  /// What a file gives back for the row.
  static func decoded(_ encoder: RowEncoder, columns: Int) -> [Float] {
    var values = (0..<columns).map { encoder.blockValue($0) }
    for outlier in encoder.outliers {
      values[outlier.column] += Half.value(encoder.stored(outlier))
    }
    return values
  }

  static func relativeError(_ row: [Float], _ found: [Float]) -> Double {
    let lost = zip(row, found).reduce(0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
    let size = row.reduce(0) { $0 + Double($1) * Double($1) }
    return (lost / size).squareRoot()
  }

  // q4n's uneven grid has a part of what q5's further bit gives.
  @Test("More bits lose less, by nearly half each")
  func moreBits() {
    let row = Self.weights(4096, seed: 1)
    let errors = Self.types.map {
      Self.relativeError(row, Self.decoded(Self.encoded(row, $0), columns: row.count))
    }
    #expect(errors[0] < 0.08 && errors[1] < 0.7 * errors[0], "\(errors)")
    #expect(errors[2] < 0.6 * errors[1], "\(errors)")
  }

  @Test("Scales are whole multiples of the row's, in 8 bits", arguments: types)
  func scales(type: BlockType) {
    for columns in [1, 15, 16, 17, 200] {
      let encoder = Self.encoded(Self.weights(columns, seed: UInt64(columns)), type)
      #expect(encoder.width == 16 && encoder.blockCount == (columns + 15) / 16)
      for block in 0..<encoder.blockCount {
        #expect(encoder.multiples[block] >= -127)
        #expect(encoder.scales[block] == encoder.rowScale * Float(encoder.multiples[block]))
      }
    }
  }

  @Test(
    "An outlier gives its weight back to half precision, and its group loses less", arguments: types
  )
  func outliers(type: BlockType) {
    var row = Self.weights(256, seed: 2)
    row[37] = 90
    row[200] = -65_504
    let plain = Self.encoded(row, type)
    for importance in [nil, (0..<256).map { Float(1 + $0 % 5) }] {
      let encoder = Self.encoded(row, type, importance: importance, outliers: 6)
      #expect(encoder.outliers.count == 6)
      let columns = encoder.outliers.map(\.column)
      #expect(Set(columns).count == 6 && columns.contains(37) && columns.contains(200))
      let found = Self.decoded(encoder, columns: 256)
      for outlier in encoder.outliers {
        #expect(outlier.value == row[outlier.column])
        // Half a step of the half that is stored, and of the sum in single precision.
        let bound = abs(Half.value(encoder.stored(outlier))) * 0x1.01p-11 + 0x1p-24
        #expect(abs(found[outlier.column] - row[outlier.column]) <= bound)
      }
      #expect(
        Self.relativeError(row, found)
          < 0.1 * Self.relativeError(row, Self.decoded(plain, columns: 256)))
    }
  }

  @Test("The difference to an outlier at the end of a half's range is no infinity")
  func largestOutlier() {
    // q4n has no zero: the group's value for the outlier is one step of its scale, some 20 here.
    var row = Self.weights(64, seed: 3).map { 200 * $0 }
    row[5] = -65_504
    row[40] = 65_504
    for type in Self.types {
      let encoder = Self.encoded(row, type, outliers: 2)
      #expect(encoder.outliers.count == 2)
      for outlier in encoder.outliers {
        let value = Half.value(encoder.stored(outlier)) + encoder.blockValue(outlier.column)
        #expect(value.isFinite && abs(value - outlier.value) < 64)
      }
    }
  }

  @Test("What fp16 cannot hold stays in its group", arguments: types)
  func notAnOutlier(type: BlockType) {
    var row = [Float](repeating: 0, count: 32)
    row[3] = 70_000
    row[20] = 1e-9
    #expect(Self.encoded(row, type, outliers: 4).outliers.isEmpty)
  }

  @Test("Columns that count more lose less", arguments: types)
  func importance(type: BlockType) {
    let row = Self.weights(512, seed: 4)
    let importance = (0..<512).map { Float($0 % 4 == 0 ? 100 : 1) }
    func loss(_ encoder: RowEncoder) -> Float {
      let found = Self.decoded(encoder, columns: 512)
      return (0..<512).reduce(0) {
        $0 + importance[$1] * (row[$1] - found[$1]) * (row[$1] - found[$1])
      }
    }
    let weighted = Self.encoded(row, type, importance: importance)
    #expect(loss(weighted) < 0.9 * loss(Self.encoded(row, type)))
    // The error that it reports is that of what it holds.
    #expect(abs(weighted.error - loss(weighted)) <= 1e-3 * loss(weighted))
  }

  @Test("What lies behind the last column plays no part", arguments: types, [1, 15, 17, 63])
  func padding(type: BlockType, columns: Int) {
    let row = Self.weights(columns, seed: 5)
    let alone = Self.encoded(row, type, outliers: 1)
    let followed = Self.encoded(
      row + [Float](repeating: 1e9, count: 16), type, columns: columns, outliers: 1)
    #expect(Self.decoded(alone, columns: columns) == Self.decoded(followed, columns: columns))
    #expect(alone.outliers.allSatisfy { $0.column < columns })
  }

  @Test("A row of zeros is zero, and so is one of next to nothing", arguments: types)
  func zeros(type: BlockType) {
    for value in [Float(0), -0.0, 1e-35, -1e-38, .leastNonzeroMagnitude] {
      let row = [Float](repeating: value, count: 40)
      let encoder = Self.encoded(row, type, outliers: 2)
      #expect(encoder.rowScale == 0 && encoder.outliers.isEmpty && encoder.error == 0)
      #expect(Self.decoded(encoder, columns: 40).allSatisfy { $0 == 0 })
    }
  }

  @Test("A group of zeros among others costs nothing", arguments: types)
  func zeroGroup(type: BlockType) {
    var row = Self.weights(64, seed: 6)
    for column in 16..<32 { row[column] = 0 }
    let encoder = Self.encoded(row, type)
    #expect((16..<32).allSatisfy { encoder.blockValue($0) == 0 })
  }

  @Test(
    "Sizes from 1e-26 to 1e14 lose alike", arguments: types,
    [Float(1e-26), 1e-20, 1e-8, 1e-3, 1e3, 1e8, 1e14])
  func sizes(type: BlockType, size: Float) {
    let row = Self.weights(256, seed: 7)
    let scaled = row.map { $0 * size }
    let expected = Self.relativeError(row, Self.decoded(Self.encoded(row, type), columns: 256))
    let encoder = Self.encoded(scaled, type)
    let found = Self.relativeError(scaled, Self.decoded(encoder, columns: 256))
    // Below 1e-18 squares leave the range of single precision, and the search sees less.
    #expect(found < (size < 1e-18 ? 1.5 : 1.01) * expected, "\(found), \(expected)")
    #expect(encoder.rowScale.isFinite && encoder.error.isFinite)
  }

  @Test("An encoder that is used again gives the same as a new one", arguments: types)
  func reuse(type: BlockType) {
    let (first, second) = (Self.weights(100, seed: 8), Self.weights(100, seed: 9))
    let importance = (0..<100).map { Float(1 + $0 % 7) }
    for importance in [nil, importance] {
      let encoder = Self.encoded(first, type, importance: importance, outliers: 3)
      Self.encode(second, with: encoder, outliers: 3)
      let new = Self.encoded(second, type, importance: importance, outliers: 3)
      #expect(Self.decoded(encoder, columns: 100) == Self.decoded(new, columns: 100))
      #expect(encoder.outliers.map(\.column) == new.outliers.map(\.column))
    }
  }
}
