import EmberFormat
import EmberGeneration
import EmberModel
import EmberTokenizer
import Foundation
import SystemPackage

/// A model file with random weights: as large and as fast as a real one, and without any sense.
///
/// ```swift
/// let model = SyntheticModel(shape: try SyntheticShape(parsing: "1.1B"), bits: 4)
/// let bytes = try model.write(to: "random.q4")
/// ```
///
/// Row groups are made once, some megabytes of them, and written again and again from different
/// places, so that writing is limited by the disk; memory does not grow with the model. The same
/// arguments give the same bytes.
package struct SyntheticModel: Sendable {
  package var shape: SyntheticShape
  /// 4, 5, 6, 8 or 16: the precision of the layers' matrices, all of them alike.
  package var bits: Int
  /// The same for embedding and head; as in a conversion, 6 where `bits` is 4 or 5, else `bits`.
  package var tableBits: Int
  /// Weights kept in fp16 beside their blocks, in percent of every matrix in blocks.
  package var outlierPercent: Double

  /// Ids of the tokenizer: unknown, begin, end, and the 256 bytes.
  package static let tokenCount = 259

  package init(
    shape: SyntheticShape, bits: Int, tableBits: Int? = nil, outlierPercent: Double = 0
  ) {
    self.shape = shape
    self.bits = bits
    self.tableBits = tableBits ?? (bits == 4 || bits == 5 ? 6 : bits)
    self.outlierPercent = outlierPercent
  }

  /// Writes the file, which appears when it is complete.
  ///
  /// - Parameters:
  ///   - isCancelled: asked a few times per second.
  ///   - progress: told the layers that are done, and all.
  /// - Returns: the size of the file in bytes.
  /// - Throws: `FormatError`, `TokenizerError`, `EvaluationError.outOfDisk`, `CancellationError`;
  ///   then nothing is written.
  package func write(
    to path: FilePath, isCancelled: () -> Bool = { false },
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> Int {
    try checkRoom(for: path)
    let tokenizer = try Self.tokenizer()
    var pool = RowGroupPool()
    var writer = try ModelFileWriter(creating: path)

    func matrix(
      _ name: String, _ rows: Int, _ columns: Int, _ bits: Int, to writer: inout ModelFileWriter
    ) throws {
      let layout = try layout(rows, columns, bits)
      try writer.beginTensor(named: name, layout: layout)
      var left = layout.rowGroups
      while left > 0 {
        if isCancelled() { throw CancellationError() }
        let part = pool.next(layout, atMost: left)
        try part.withUnsafeBytes { try writer.write($0) }
        left -= part.count / layout.rowGroupStride
      }
      try writer.endTensor(
        outlierCount: 16 * layout.outlierSteps * layout.rowGroups, relativeError: 0)
    }
    func gains(_ name: String, to writer: inout ModelFileWriter) throws {
      let layout = try TensorLayout(type: .f32, rows: 1, columns: shape.width)
      try writer.beginTensor(named: name, layout: layout)
      // 1.0 as its four bytes, little-endian.
      try writer.write((0..<shape.width).flatMap { _ in [0, 0, 0x80, 0x3F] as [UInt8] })
      try writer.endTensor(outlierCount: 0, relativeError: 0)
    }

    let parts = shape.layerCount + 2
    try writer.beginExtent()
    try matrix(
      TensorName.embedding, shape.vocabularySize, shape.width, tableBits, to: &writer)
    progress(1, parts)
    for layer in 0..<shape.layerCount {
      try writer.beginExtent()
      try gains(TensorName.weight(.attention, layer: layer), to: &writer)
      let architecture = shape.architecture
      for name in TensorName.Matrix.allCases where architecture.has(name) {
        if name == .gate || name == .router {
          try gains(TensorName.weight(.feedForward, layer: layer), to: &writer)
        }
        let (rows, columns) = shape.size(of: name)
        try matrix(
          TensorName.weight(name, layer: layer), rows, columns,
          name == .router ? 16 : bits, to: &writer)
      }
      for expert in 0..<(shape.experts?.count ?? 0) {
        for name in TensorName.ExpertMatrix.allCases {
          let (rows, columns) = shape.size(of: name)
          try matrix(
            TensorName.weight(name, expert: expert, layer: layer), rows, columns, bits,
            to: &writer)
        }
      }
      progress(layer + 2, parts)
    }
    try writer.beginExtent()
    try gains(TensorName.finalNorm, to: &writer)
    try matrix(TensorName.head, shape.vocabularySize, shape.width, tableBits, to: &writer)
    let bytes = try writer.finish(
      metadata: try metadata.encoded(), tokenizer: tokenizer.serialized())
    progress(parts, parts)
    return bytes
  }

  private func layout(
    _ rows: Int, _ columns: Int, _ bits: Int
  ) throws(FormatError) -> TensorLayout {
    try TensorLayout(
      type: Self.type(bits), rows: rows, columns: columns,
      outlierSteps: outlierSteps(columns: columns, bits: bits))
  }

  /// Bytes of the matrices; the file has some hundred bytes more per matrix.
  ///
  /// - Throws: `FormatError.invalidLayout` for more than there are addresses
  package func matrixBytes() throws -> Int {
    let table = try layout(shape.vocabularySize, shape.width, tableBits).byteCount
    var layer = 0
    let architecture = shape.architecture
    for name in TensorName.Matrix.allCases where architecture.has(name) {
      let (rows, columns) = shape.size(of: name)
      layer += try layout(rows, columns, name == .router ? 16 : bits).byteCount
    }
    for name in TensorName.ExpertMatrix.allCases {
      let (rows, columns) = shape.size(of: name)
      layer += try layout(rows, columns, bits).byteCount * (shape.experts?.count ?? 0)
    }
    let (layers, overflows) = layer.multipliedReportingOverflow(by: shape.layerCount)
    let (sum, alsoOverflows) = layers.addingReportingOverflow(2 * table)
    return overflows || alsoOverflows ? .max : sum
  }

  /// A disk that fills up takes long to do so, and harms others.
  private func checkRoom(for path: FilePath) throws {
    let folder = path.removingLastComponent().string
    let place = folder.isEmpty ? "." : folder
    let attributes = try? FileManager.default.attributesOfFileSystem(forPath: place)
    // Where the system does not say, writing will tell.
    guard let free = (attributes?[.systemFreeSize] as? NSNumber)?.int64Value else { return }
    let needed = try matrixBytes()
    if needed > free {
      throw EvaluationError.outOfDisk(
        folder: place, bytes: needed, free: Int(clamping: free))
    }
  }

  /// As in a conversion: this share of the columns, at least one.
  func outlierSteps(columns: Int, bits: Int) -> Int {
    guard bits != 16, outlierPercent > 0, columns <= TensorLayout.maximumOutlierColumns else {
      return 0
    }
    return max(1, Int((Double(columns) * outlierPercent / 100).rounded()))
  }

  private static func type(_ bits: Int) -> BlockType {
    switch bits {
    case 4: .q4n
    case 5: .q5
    case 6: .q6
    case 8: .q8
    default: .f16
    }
  }

  private var metadata: ModelMetadata {
    ModelMetadata(
      architecture: shape.architecture,
      recipe: .init(bits: bits, tableBits: tableBits, outliers: "\(outlierPercent)"),
      source: .init(format: "random weights", name: "synthetic", files: [], bytes: 0, types: []),
      writtenBy: "ember bench")
  }

  /// Every byte is a token, through the format of llama2.c, which needs no more than the pieces.
  private static func tokenizer() throws -> Tokenizer {
    let digits = Array("0123456789ABCDEF".utf8)
    let bytes = (0..<256).map {
      Array("<0x".utf8) + [digits[$0 >> 4], digits[$0 & 15], UInt8(ascii: ">")]
    }
    let pieces = [Array("<unk>".utf8), Array("\n<s>\n".utf8), Array("\n</s>\n".utf8)] + bytes
    func word(_ value: Int) -> [UInt8] {
      (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    // The longest piece; then for each its score, 0, its length and its bytes.
    let file = word(6) + pieces.flatMap { word(0) + word($0.count) + $0 }
    let path = FileManager.default.temporaryDirectory
      .appending(path: "ember-tokenizer-\(UUID().uuidString).bin")
    try Data(file).write(to: path)
    defer { try? FileManager.default.removeItem(at: path) }
    return try Tokenizer.llama2c(contentsOf: FilePath(path.path), vocabularySize: tokenCount)
  }
}

/// Random row groups, made once per layout and handed out in a circle.
private struct RowGroupPool {
  private struct Kind: Hashable {
    let type: BlockType
    let columns: Int
    let outlierSteps: Int
  }
  private var groups: [Kind: [UInt8]] = [:]
  private var next: [Kind: Int] = [:]
  private var random = SplitMix64(seed: 2)

  /// The next row groups of this layout: one at least, some megabytes at most.
  mutating func next(_ layout: TensorLayout, atMost count: Int) -> ArraySlice<UInt8> {
    let kind = Kind(
      type: layout.type, columns: layout.columns, outlierSteps: layout.outlierSteps)
    let stride = layout.rowGroupStride
    let size = max(3, (4 << 20) / stride)
    if groups[kind] == nil {
      groups[kind] = RandomWeights.rowGroups(of: layout, count: size, random: &random)
    }
    let start = next[kind] ?? 0
    let end = min(size, start + count)
    next[kind] = end % size
    return groups[kind]?[start * stride..<end * stride] ?? []
  }
}
