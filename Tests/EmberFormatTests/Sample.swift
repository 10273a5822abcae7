import EmberFormat
import EmberTestSupport
import Foundation
import SystemPackage

/// A folder that goes away with the test.
final class TestFolder {
  let url: URL

  init() throws { url = try TestData.temporaryFolder() }
  deinit { try? FileManager.default.removeItem(at: url) }

  func path(_ name: String) -> FilePath { FilePath(url.appending(path: name).path) }

  var names: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: url.path).sorted() }
  }
}

/// A tensor of a test file: its layout, its bytes and what they mean.
struct SampleTensor {
  let name: String
  let layout: TensorLayout
  let bytes: [UInt8]
  let outlierCount: Int

  /// Bytes with correct padding and arbitrary codes, written by the page of the specification.
  init(
    _ name: String, _ type: BlockType, _ rows: Int, _ columns: Int, outlierSteps: Int = 0
  ) throws {
    self.name = name
    layout = try TensorLayout(
      type: type, rows: rows, columns: columns, outlierSteps: outlierSteps)
    var bytes = [UInt8](repeating: 0, count: layout.byteCount)
    var generator = LinearCongruential(seed: UInt64(rows * 1000 + columns))
    func store(_ value: UInt16, at offset: Int) {
      bytes[offset] = UInt8(value & 255)
      bytes[offset + 1] = UInt8(value >> 8)
    }
    var count = 0
    if type == .f32 {
      for index in 0..<(rows * columns) {
        let value = Float(Int(generator.next() % 2001) - 1000) / 64
        for byte in 0..<4 {
          bytes[4 * index + byte] = UInt8(value.bitPattern >> UInt32(8 * byte) & 255)
        }
      }
    } else if type.isGrouped {
      (bytes, count) = Self.grouped(type, rows, columns, outlierSteps, &generator)
    } else {
      let (groups, tiles) = ((rows + 15) / 16, (columns + 63) / 64)
      let tileBytes = [BlockType.f16: 2048, .q8: 1088, .q4: 576][type] ?? 0
      let stride = tiles * tileBytes + 64 * outlierSteps
      for group in 0..<groups {
        for tile in 0..<tiles {
          let base = group * stride + tile * tileBytes
          if type != .f16 {
            // Scales between 1/64 and 1/32, half precision; 0 in blocks that are padding.
            for lane in 0..<32
            where 16 * group + lane % 16 < rows && 64 * tile + lane / 16 * 32 < columns {
              store(0x2400 | UInt16(generator.next() % 1024), at: base + 2 * lane)
            }
          }
          for r in 0..<16 {
            for c in 0..<64 {
              let inside = 16 * group + r < rows && 64 * tile + c < columns
              let code = UInt8(generator.next() % 255) + 1
              switch type {
              case .f32, .q4n, .q5, .q6: break
              case .f16:
                let half = 0x3000 | UInt16(code)
                store(inside ? half : 0, at: base + 32 * c + 2 * r)
              case .q8:
                let (b, j, i) = (c / 32, c % 32 / 4, c % 4)
                bytes[base + 64 + 512 * b + 64 * j + 4 * r + i] = inside ? code : 128
              case .q4:
                let (b, h, j, i) = (c / 32, c % 32 / 16, c % 16 / 4, c % 4)
                bytes[base + 64 + 256 * b + 64 * j + 4 * r + i] |=
                  (inside ? code & 15 : 8) << UInt8(4 * h)
              }
            }
          }
        }
        for step in 0..<outlierSteps {
          let base = group * stride + tiles * tileBytes + 64 * step
          for lane in 0..<16 where 16 * group + lane < rows && (lane + step) % 3 == 0 {
            store(UInt16(generator.next() % UInt64(columns)), at: base + 2 * lane)
            store(0x4900 + UInt16(lane), at: base + 32 + 2 * lane)
            count += 1
          }
        }
      }
    }
    self.bytes = bytes
    outlierCount = count
  }
}

/// Small and the same everywhere; good enough to vary test data.
struct LinearCongruential {
  private var state: UInt64
  init(seed: UInt64) { state = seed &* 2_862_933_555_777_941_757 &+ 3_037_000_493 }
  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state >> 33
  }
}

extension SampleTensor {
  /// Bytes and outliers of a tensor of q4n, q5 or q6, likewise.
  private static func grouped(
    _ type: BlockType, _ rows: Int, _ columns: Int, _ outlierSteps: Int,
    _ generator: inout LinearCongruential
  ) -> (bytes: [UInt8], outliers: Int) {
    let (groups, tiles) = ((rows + 15) / 16, (columns + 63) / 64)
    let tileBytes = [BlockType.q4n: 576, .q5: 704, .q6: 832][type] ?? 0
    let codes: UInt64 = [BlockType.q4n: 16, .q5: 32, .q6: 64][type] ?? 0
    let stride = 64 + tiles * tileBytes + 64 * outlierSteps
    var bytes = [UInt8](repeating: 0, count: groups * stride)
    var count = 0
    for group in 0..<groups {
      for r in 0..<min(16, rows - 16 * group) {
        let start = group * stride
        // Below 1/256 in size, of either sign.
        let rowScale = Float(Int(generator.next() % 2043) - 1021) / 262_144
        for byte in 0..<4 {
          bytes[start + 4 * r + byte] = UInt8(rowScale.bitPattern >> UInt32(8 * byte) & 255)
        }
        for column in 0..<columns {
          let base = start + 64 + column / 64 * tileBytes
          let (c, i) = (column % 64, column % 4)
          let (b, h, j) = (c / 32, c % 32 / 16, c % 16 / 4)
          let code = UInt8(generator.next() % codes)
          bytes[base + 64 + 256 * b + 64 * j + 4 * r + i] |= (code & 15) << UInt8(4 * h)
          if type == .q5 {
            bytes[base + 576 + 64 * b + 4 * r + i] |= (code >> 4) << UInt8(2 * j + h)
          } else if type == .q6 {
            bytes[base + 576 + 128 * b + 64 * (j / 2) + 4 * r + i] |=
              (code >> 4) << UInt8(4 * (j % 2) + 2 * h)
          }
          if column % 16 == 0 {
            bytes[base + 32 * b + 2 * r + h] =
              UInt8(bitPattern: Int8(Int(generator.next() % 255) - 127))
          }
        }
        for step in 0..<outlierSteps where (r + step) % 3 == 0 {
          let lane = start + 64 + tiles * tileBytes + 64 * step + 2 * r
          let column = UInt16(generator.next() % UInt64(columns))
          bytes[lane] = UInt8(column & 255)
          bytes[lane + 1] = UInt8(column >> 8)
          (bytes[lane + 32], bytes[lane + 33]) = (UInt8(r), 0x49)
          count += 1
        }
      }
    }
    return (bytes, count)
  }
}

/// A model file with all types, ragged shapes and three extents.
enum Sample {
  static let metadata = Array(#"{"name": "sample", "layers": 1}"#.utf8)
  static let tokenizer = (0..<3000).map { UInt8($0 % 251) }

  static func extents() throws -> [[SampleTensor]] {
    [
      [try SampleTensor("embedding", .q8, 33, 65), try SampleTensor("position", .f16, 17, 172)],
      [
        try SampleTensor("layers.0.attention.query.weight", .q4, 17, 172, outlierSteps: 3),
        try SampleTensor("layers.0.attention.query.bias", .f32, 1, 17),
        try SampleTensor("layers.0.attention.key.weight", .q8, 16, 64, outlierSteps: 1),
        try SampleTensor("layers.0.attention.value.weight", .q4, 1, 1),
      ],
      [
        try SampleTensor("final_norm.weight", .f32, 3, 5),
        try SampleTensor("head", .f16, 1, 1),
        try SampleTensor("grouped.0", .q4n, 17, 172, outlierSteps: 3),
        try SampleTensor("grouped.1", .q5, 33, 65),
        try SampleTensor("grouped.2", .q6, 16, 64, outlierSteps: 1),
      ],
    ]
  }

  /// Small enough to be cut at every length.
  static func smallExtents() throws -> [[SampleTensor]] {
    [[try SampleTensor("a", .q4, 1, 1, outlierSteps: 1)], [try SampleTensor("b", .f32, 1, 3)]]
  }

  @discardableResult
  static func write(
    _ extents: [[SampleTensor]], to path: FilePath, metadata: [UInt8] = metadata,
    tokenizer: [UInt8] = tokenizer, chunk: Int = .max
  ) throws -> Int {
    var writer = try ModelFileWriter(creating: path)
    for extent in extents {
      try writer.beginExtent()
      for tensor in extent { try write(tensor, to: &writer, chunk: chunk) }
    }
    return try writer.finish(metadata: metadata, tokenizer: tokenizer)
  }

  static func write(
    _ tensor: SampleTensor, to writer: inout ModelFileWriter, chunk: Int = .max
  ) throws {
    try writer.beginTensor(named: tensor.name, layout: tensor.layout)
    var rest = tensor.bytes[...]
    while !rest.isEmpty {
      try writer.write(Array(rest.prefix(chunk)))
      rest = rest.dropFirst(chunk)
    }
    try writer.endTensor(outlierCount: tensor.outlierCount, relativeError: 0.0625)
  }

  static func bytes(_ extents: [[SampleTensor]]) throws -> [UInt8] {
    let folder = try TestFolder()
    try write(extents, to: folder.path("sample"))
    return try read(folder.path("sample"))
  }

  static func read(_ path: FilePath) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(filePath: path.string)))
  }

  static func store(_ bytes: [UInt8], at path: FilePath) throws {
    try Data(bytes).write(to: URL(filePath: path.string))
  }
}

/// The error that a body throws, nil where it throws none.
func formatError(_ body: () throws -> Void) throws -> FormatError? {
  do {
    try body()
    return nil
  } catch let error as FormatError {
    return error
  }
}
