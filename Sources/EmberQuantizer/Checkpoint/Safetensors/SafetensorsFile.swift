import SystemPackage

/// One safetensors file: eight bytes of header length, the header, the tensors' data.
struct SafetensorsFile: Sendable {
  let file: CheckpointFile
  let header: SafetensorsHeader
  /// Where the data begins, in bytes from the file's start.
  let dataOffset: Int

  /// The format allows 100 MB, but parsing takes ten times the header's bytes, and a conversion
  /// has 256 MB. 16 MiB describe 150,000 tensors, more than any one file holds.
  static let headerLimit = 16 << 20

  init(opening path: FilePath) throws(CheckpointError) {
    file = try CheckpointFile(opening: path)
    guard file.size >= 8 else {
      throw .damagedHeader(
        path: path, problem: "expected 8 bytes of header length, found \(file.size) bytes in all")
    }
    let announced = try file.bytes(in: 0..<8).enumerated().reduce(UInt64(0)) {
      $0 | UInt64($1.element) << (8 * UInt64($1.offset))
    }
    guard announced >= 2, announced <= UInt64(Self.headerLimit) else {
      throw .damagedHeader(
        path: path,
        problem: "expected a header of 2 to \(Self.headerLimit) bytes, found \(announced)")
    }
    let length = Int(announced)
    guard length <= file.size - 8 else {
      throw .damagedHeader(
        path: path,
        problem: "its header takes \(length) bytes, found \(file.size - 8): "
          + "\(length - (file.size - 8)) bytes missing")
    }
    dataOffset = 8 + length
    let text = try file.bytes(in: 8..<dataOffset)
    do throws(SafetensorsHeader.Problem) {
      header = try SafetensorsHeader(text: text, dataSize: file.size - dataOffset)
    } catch {
      if let tensor = error.tensor {
        throw .damagedRecord(path: path, tensor: tensor, problem: error.text)
      }
      throw .damagedHeader(path: path, problem: error.text)
    }
  }
}
