import CKernels
import EmberKernels
import Testing

@Suite("Block types with two levels of scales: where each bit stands")
struct TwoLevelLayoutTests {
  /// One tile of 16 rows × 64 columns whose codes and scales are known.
  private struct KnownTile {
    var rowScales: [Float]
    /// [16 rows][4 groups of 16 columns]
    var scales: [[Int8]]
    /// [16 rows][64 columns]
    var codes: [[Int]]

    init(bits: Int, seed: UInt64) {
      var random = SplitMix(state: seed)
      rowScales = (0..<16).map { _ in 0.01 * random.normal() }
      scales = (0..<16).map { _ in
        (0..<4).map { _ in Int8.random(in: -127...127, using: &random) }
      }
      codes = (0..<16).map { _ in
        (0..<64).map { _ in Int.random(in: 0..<1 << bits, using: &random) }
      }
    }

    /// As a model file holds them, by the words of its description.
    func bytes(_ type: MatrixType) -> [UInt8] {
      var tile = [UInt8](repeating: 0, count: type.tileBytes)
      for row in 0..<16 {
        for group in 0..<4 {
          tile[32 * (group / 2) + 2 * row + group % 2] = UInt8(bitPattern: scales[row][group])
        }
        for column in 0..<64 {
          let code = codes[row][column]
          let (block, half) = (column / 32, column % 32 / 16)
          let (j, i) = (column % 16 / 4, column % 4)
          tile[64 + 256 * block + 64 * j + 4 * row + i] |= UInt8((code & 15) << (4 * half))
          if type == .q5 {
            tile[576 + 64 * block + 4 * row + i] |= UInt8((code >> 4) << (2 * j + half))
          } else if type == .q6 {
            tile[576 + 128 * block + 64 * (j / 2) + 4 * row + i] |=
              UInt8((code >> 4) << (4 * (j % 2) + 2 * half))
          }
        }
      }
      return rowScales.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian) { Array($0) } }
        + tile
    }
  }

  @Test(
    "a row's weights are scale of the row · scale of 16 columns · value of the code",
    arguments: [(MatrixType.q4n, 4), (.q5, 5), (.q6, 6)])
  func rows(type: MatrixType, bits: Int) {
    let known = KnownTile(bits: bits, seed: UInt64(bits))
    let grid = withUnsafeBytes(of: ember_q4n_grid) { $0.map { Int($0) } }
    known.bytes(type).withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      let matrix = Matrix(type: type, rows: 16, columns: 64, outlierSteps: 0, data: base)
      #expect(matrix.byteCount == bytes.count)
      var weights = [Float](repeating: .nan, count: 64)
      for row in 0..<16 {
        matrix.copyRow(row, to: &weights)
        for column in 0..<64 {
          let code = known.codes[row][column]
          let value =
            switch type {
            case .q4n: grid[code] - 32
            case .q5: code - 16
            default: code - 32
            }
          let product = Int(known.scales[row][column / 16]) * value
          #expect(weights[column] == known.rowScales[row] * Float(product))
        }
      }
    }
  }

  @Test("the grid of q4n ascends within the bytes that the kernels can multiply")
  func grid() {
    let grid = withUnsafeBytes(of: ember_q4n_grid) { Array($0) }
    #expect(grid == grid.sorted())
    #expect(Set(grid).count == 16)
    #expect(grid.allSatisfy { $0 <= 64 })
  }
}
