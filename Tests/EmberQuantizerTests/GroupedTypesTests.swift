import EmberFormat
import EmberKernels
import EmberQuantizer
import EmberTestSupport
import Foundation
import SystemPackage
import Testing

/// What conversion writes at 4, 5 and 6 bits, against the weights that it was given and against the
/// reader that was written from the specification alone.
struct GroupedTypesTests {
  struct Case: CustomTestStringConvertible {
    var bits: Int
    var outliers: OutlierBudget
    var recipe = Recipe.balanced
    var shape = GroupedCheckpoint.Shape.ragged

    var testDescription: String { "\(bits) bits, outliers \(outliers), \(recipe), \(shape)" }

    var options: QuantizationOptions {
      QuantizationOptions(
        bits: bits, outliers: outliers, recipe: recipe,
        calibration: recipe == .best ? .text(CalibrationRunTests.text) : .automatic, threads: 2)
    }
  }

  static let cases: [Case] = [4, 5, 6].flatMap { bits in
    [
      Case(bits: bits, outliers: .percent(0)), Case(bits: bits, outliers: .percent(3)),
      Case(bits: bits, outliers: .automatic), Case(bits: bits, outliers: .automatic, recipe: .fast),
      Case(bits: bits, outliers: .percent(0), recipe: .best),
      Case(bits: bits, outliers: .percent(3), recipe: .best),
      Case(bits: bits, outliers: .percent(3), shape: .narrow),
      Case(bits: bits, outliers: .percent(0), shape: .narrow),
      Case(bits: bits, outliers: .percent(3), recipe: .best, shape: .whole),
      Case(bits: bits, outliers: .percent(0), recipe: .fast, shape: .whole),
    ]
  }

  /// The error that the directory reports is that of what `copyRow` gives, and no larger than the
  /// type's levels make it.
  @Test(arguments: cases)
  func reportedErrors(_ each: Case) throws {
    let checkpoint = try GroupedCheckpoint(each.shape)
    let file = try checkpoint.convert(each.options)
    var seen: Set<BlockType> = []
    for record in file.tensors where record.layout.type != .f32 {
      let original = try #require(checkpoint.matrices[record.name], "\(record.name)")
      let found = try Self.dequantize(record, of: file)
      #expect(found.count == original.count)
      let error = Self.relativeError(found, of: original)
      #expect(
        abs(Double(record.relativeError) - error) <= 1e-5 * error,
        "\(record.name): reported \(record.relativeError), found \(error)")
      let limits: [BlockType: Double] = [.q4n: 0.16, .q5: 0.08, .q6: 0.04]
      let limit = limits[record.layout.type] ?? 0
      // Error feedback gives up some of the weights' error for that of the outputs.
      #expect(error < (each.recipe == .best ? 2 : 1) * limit, "\(record.name)")
      #expect(error > 0.1 * limit || each.outliers == .automatic, "\(record.name)")
      if each.outliers == .percent(0) { #expect(record.layout.outlierSteps == 0) }
      if each.outliers == .percent(3) { #expect(record.layout.outlierSteps >= 1) }
      if each.outliers == .percent(3) { #expect(record.outlierCount > 0, "\(record.name)") }
      seen.insert(record.layout.type)
    }
    let expected: [Int: Set<BlockType>] = [4: [.q4n, .q5, .q6], 5: [.q5, .q6], 6: [.q6]]
    #expect(seen == expected[each.bits])
  }

  // A Python with numpy and zstandard is set up by tools/test.
  @Test(
    .enabled(if: ProcessInfo.processInfo.environment["EMBER_PYTHON"] != nil), arguments: cases)
  func independentReader(_ each: Case) throws {
    let checkpoint = try GroupedCheckpoint(each.shape)
    try expectReaderAgrees(on: checkpoint.convert(each.options), in: checkpoint.folder)
  }

  /// Single tensors in any type, the 4-bit one with even levels among them.
  @Test(.enabled(if: ProcessInfo.processInfo.environment["EMBER_PYTHON"] != nil))
  func mixedTypes() throws {
    let checkpoint = try GroupedCheckpoint(.ragged)
    let types: [(String, BlockType)] = [
      ("layers.0.*", .q4), ("layers.*.attention.key.weight", .q8), ("*.gate.weight", .q5),
      ("layers.1.*.up.weight", .q4n), ("layers.1.attention.output.weight", .f16),
      ("embedding", .q4n),
    ]
    let file = try checkpoint.convert(
      QuantizationOptions(
        bits: 6, outliers: .percent(3),
        tensorTypes: types.map { TensorTypeRule(pattern: $0.0, type: $0.1) }, threads: 2))
    let expected: [String: BlockType] = [
      "embedding": .q4n, "layers.0.attention.query.weight": .q4,
      "layers.0.attention.key.weight": .q8, "layers.0.feed_forward.gate.weight": .q5,
      "layers.1.feed_forward.up.weight": .q4n, "layers.1.attention.output.weight": .f16,
      "layers.1.feed_forward.down.weight": .q6, "layers.0.attention_norm.weight": .f32,
    ]
    for (name, type) in expected {
      #expect(file.tensor(named: name)?.layout.type == type, "\(name)")
    }
    try expectReaderAgrees(on: file, in: checkpoint.folder)
  }

  /// Rows of zeros, of weights too small for a scale, and of some whose size differs by more than a
  /// half can bridge: the file keeps its rules, and what is zero stays zero.
  @Test(arguments: [4, 5, 6], [OutlierBudget.percent(0), .percent(10)])
  func extremeRows(bits: Int, outliers: OutlierBudget) throws {
    let checkpoint = try GroupedCheckpoint(.ragged) { name, weights, columns in
      guard name == "layers.0.attention.query.weight" else { return }
      for column in 0..<columns {
        let sign: Float = column % 2 == 0 ? 1 : -1
        weights[column] = 0
        weights[columns + column] = sign * 1e-33
        weights[2 * columns + column] = sign * 0x1p-140
        weights[3 * columns + column] = sign * (column % 16 == 3 ? 6e14 : 5e4)
        weights[4 * columns + column] = sign * (column % 16 < 3 ? 1e9 : column % 16 == 5 ? 6e4 : 1)
        weights[5 * columns + column] = column < 16 ? sign : sign * 1e-5
      }
    }
    // Other recipes compute with the weights as halves, which these are not.
    let file = try checkpoint.convert(
      QuantizationOptions(bits: bits, outliers: outliers, recipe: .fast, threads: 2))
    let record = try #require(file.tensor(named: "layers.0.attention.query.weight"))
    let values = try Self.dequantize(record, of: file)
    #expect(values.allSatisfy { $0.isFinite })
    let columns = record.layout.columns
    #expect(values[..<columns].allSatisfy { $0 == 0 })
    #expect(values[columns..<3 * columns].allSatisfy { abs($0) < 1e-27 })
  }

  /// Two weights near the largest half in a group: what makes up for one of them is a half too.
  @Test(arguments: [4, 5, 6])
  func outliersNearTheLargestHalf(bits: Int) throws {
    let checkpoint = try GroupedCheckpoint(.ragged) { name, weights, columns in
      for index in weights.indices where index % columns % 16 < 2 {
        weights[index] = index / columns % 2 == 0 ? 65_504 : -65_504
        if index % columns % 16 == 1 { weights[index] *= 0.99 }
      }
    }
    _ = try checkpoint.convert(
      QuantizationOptions(bits: bits, outliers: .percent(5), recipe: .fast, threads: 2))
  }

  /// Outliers a million times larger than the weights beside them: their squares must not drown
  /// the errors of those.
  @Test(arguments: [4, 5, 6])
  func errorsBesideLargeOutliers(bits: Int) throws {
    let checkpoint = try GroupedCheckpoint(.ragged) { name, weights, columns in
      for index in weights.indices {
        weights[index] *= 0.01
        if index % columns % 64 == 3 { weights[index] = 30_000 + Float(index % 30_000) }
      }
    }
    let file = try checkpoint.convert(
      QuantizationOptions(bits: bits, outliers: .percent(5), recipe: .fast, threads: 2))
    for record in file.tensors where record.layout.type.isGrouped {
      let original = try #require(checkpoint.matrices[record.name], "\(record.name)")
      let error = Self.relativeError(try Self.dequantize(record, of: file), of: original)
      #expect(
        abs(Double(record.relativeError) - error) <= 1e-5 * error + 1e-9,
        "\(record.name): reported \(record.relativeError), found \(error)")
    }
  }

  // MARK: Reading

  /// √(Σ (found − original)² / Σ original²)
  private static func relativeError(_ found: [Float], of original: [Float]) -> Double {
    let (lost, size) = zip(original, found).reduce(into: (0.0, 0.0)) { sums, pair in
      let (weight, error) = (Double(pair.0), Double(pair.1) - Double(pair.0))
      sums.0 += error * error
      sums.1 += weight * weight
    }
    return (lost / size).squareRoot()
  }

  private static func dequantize(_ record: TensorRecord, of file: ModelFile) throws -> [Float] {
    let base = try #require(file.bytes(of: record).baseAddress)
    let layout = record.layout
    let types: [BlockType: MatrixType] = [
      .f16: .f16, .q8: .q8, .q4: .q4, .q4n: .q4n, .q5: .q5, .q6: .q6,
    ]
    guard let type = types[layout.type] else {
      return (0..<layout.rows * layout.columns).map {
        base.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self)
      }
    }
    let matrix = Matrix(
      type: type, rows: layout.rows, columns: layout.columns, outlierSteps: layout.outlierSteps,
      data: base)
    var values = [Float](repeating: 0, count: layout.rows * layout.columns)
    values.withUnsafeMutableBufferPointer { values in
      guard let start = values.baseAddress else { return }
      for row in 0..<layout.rows { matrix.copyRow(row, to: start + row * layout.columns) }
    }
    return values
  }

  /// Expects the reader in Python to accept every byte of the file, and to give what `copyRow` does,
  /// bit for bit.
  private func expectReaderAgrees(on file: ModelFile, in folder: URL) throws {
    let output = folder.appending(path: "tensors")
    // Every byte is checked on the way.
    try runReader([file.path.string, "--dequantize-all", output.path])
    for record in file.tensors {
      let data = try Data(contentsOf: output.appending(path: "\(record.name).npy"))
      // Version 1 of the format: two bytes of header length at 8.
      let start = 10 + Int(data[8]) + Int(data[9]) << 8
      let found = data[start...].withUnsafeBytes { bytes in
        (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self) }
      }
      let expected = try Self.dequantize(record, of: file).map(\.bitPattern)
      #expect(found.count == record.layout.rows * record.layout.columns)
      let differs = zip(found, expected).enumerated().first { $0.element.0 != $0.element.1 }
      #expect(
        found == expected,
        "\(record.name), \(record.layout.type), element \(differs?.offset ?? -1)")
    }
  }

  private func runReader(_ arguments: [String]) throws {
    let reader = Process()
    reader.executableURL = URL(
      filePath: try #require(ProcessInfo.processInfo.environment["EMBER_PYTHON"]))
    reader.arguments = [TestData.bundled("tools/read_model.py")] + arguments
    reader.standardOutput = FileHandle.nullDevice
    try reader.run()
    reader.waitUntilExit()
    #expect(reader.terminationStatus == 0, "\(arguments)")
  }
}

/// A llama2.c checkpoint of two layers whose matrices have ragged shapes and some weights far from
/// the others, in a folder of its own, removed with the value.
final class GroupedCheckpoint {
  enum Shape: String, CaseIterable {
    /// 72 and 172 columns: 8 past a tile, 12 past a group.
    case ragged
    /// 10 and 33 columns, 10 rows: less than a group, one past a block.
    case narrow
    /// 64 and 128: nothing to pad.
    case whole

    /// Width, inner width, query heads (one key/value head), size of a head.
    var sizes: (width: Int, inner: Int, heads: Int, head: Int) {
      switch self {
      case .ragged: (72, 172, 3, 24)
      case .narrow: (10, 33, 1, 10)
      case .whole: (64, 128, 4, 16)
      }
    }
  }

  let folder: URL
  /// Weights by the names of the model file, row by row.
  private(set) var matrices: [String: [Float]] = [:]

  /// - Parameter change: may change the weights of a matrix of so many columns.
  init(
    _ shape: Shape, change: (String, inout [Float], Int) -> Void = { _, _, _ in }
  ) throws {
    folder = try TestData.temporaryFolder()
    let (width, inner, heads, head) = shape.sizes
    let pieces = ["<unk>", "<s>", "</s>", " ", "a", "b", "c", "d", "e", "f"]
    let (layers, context) = (2, 16)
    var data = Data()
    for field in [width, inner, layers, heads, 1, pieces.count, context] {
      withUnsafeBytes(of: Int32(field).littleEndian) { data.append(contentsOf: $0) }
    }
    var random = RandomFloats(seed: 11)
    func append(_ values: [Float]) { values.withUnsafeBytes { data.append(contentsOf: $0) } }
    func vectors(_ count: Int) { append((0..<count).map { _ in 1 + random.next() / 4 }) }
    func matrix(_ name: String, _ rows: Int, _ columns: Int) {
      var weights = (0..<rows * columns).map { index -> Float in
        // Denser near zero than evenly spread numbers; one in 50 is far out.
        let value = random.next() * (0.2 + abs(random.next())) / 4
        return index % 50 == 17 ? 8 * value : value
      }
      change(name, &weights, columns)
      matrices[name] = weights
      append(weights)
    }
    func pair(_ name: String, _ rows: Int, _ columns: Int) {
      for layer in 0..<layers { matrix("layers.\(layer).\(name).weight", rows, columns) }
    }
    matrix("embedding", pieces.count, width)
    vectors(layers * width)
    pair("attention.query", heads * head, width)
    pair("attention.key", head, width)
    pair("attention.value", head, width)
    pair("attention.output", width, heads * head)
    vectors(layers * width)
    pair("feed_forward.gate", inner, width)
    pair("feed_forward.down", width, inner)
    pair("feed_forward.up", inner, width)
    vectors(width)
    append([Float](repeating: 0, count: context * head))
    try data.write(to: folder.appending(path: "model.bin"))

    var tokenizer = Data()
    withUnsafeBytes(of: UInt32(5).littleEndian) { tokenizer.append(contentsOf: $0) }
    for piece in pieces {
      withUnsafeBytes(of: Float(0)) { tokenizer.append(contentsOf: $0) }
      withUnsafeBytes(of: Int32(piece.utf8.count).littleEndian) {
        tokenizer.append(contentsOf: $0)
      }
      tokenizer.append(contentsOf: piece.utf8)
    }
    try tokenizer.write(to: folder.appending(path: "tokenizer.bin"))
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  /// Converts; every byte of the file is checked.
  func convert(_ options: QuantizationOptions) throws -> ModelFile {
    let output = FilePath(folder.appending(path: "model.out").path)
    _ = try Converter(
      checkpoint: FilePath(folder.appending(path: "model.bin").path), output: output,
      options: options
    ).run()
    let file = try ModelFile(opening: output)
    try file.verify()
    return file
  }
}
