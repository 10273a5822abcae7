import EmberFormat
import EmberTestSupport
import Foundation
import SystemPackage

/// An archive, taken apart by the page of the format, with parts that tests replace.
struct ArchiveBytes {
  var frames: [[UInt8]]
  var entries: [[UInt8]]
  var footer: [UInt8]
  var trailing: [UInt8] = []

  init(_ bytes: [UInt8]) {
    func number(_ offset: Int) -> Int {
      (0..<4).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
    }
    let count = number(bytes.count - 9)
    let table = bytes.count - 9 - 12 * count
    (frames, entries) = ([], [])
    var offset = 0
    for index in 0..<count {
      let entry = table + 12 * index
      entries.append(Array(bytes[entry..<entry + 12]))
      frames.append(Array(bytes[offset..<offset + number(entry)]))
      offset += number(entry)
    }
    footer = Array(bytes[(bytes.count - 9)...])
  }

  /// Put together again, the size of the table as the entries have it.
  var bytes: [UInt8] {
    let table = entries.flatMap { $0 } + footer
    return frames.flatMap { $0 } + Self.littleEndian(0x184D_2A5E)
      + Self.littleEndian(UInt32(table.count)) + table + trailing
  }

  /// Makes entries and footer fit the frames, contents as given.
  mutating func fixTable(contents: [Int]) {
    entries = zip(frames, contents).map { frame, content in
      Self.littleEndian(UInt32(frame.count)) + Self.littleEndian(UInt32(content))
        + frame.suffix(4)
    }
    footer = Self.littleEndian(UInt32(frames.count)) + [0x80] + Self.littleEndian(0x8F92_EAB1)
  }

  static func littleEndian(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  /// A frame as `ember pack` makes it.
  static func frame(_ content: [UInt8], level: Int = 3) -> [UInt8] {
    var frame: [UInt8] = []
    let succeeds = content.withUnsafeBytes {
      FrameCompressor(level: level)?.compress($0, into: &frame)
    }
    return succeeds == true ? frame : []
  }

  /// An archive of any content.
  static func archive(_ contents: [[UInt8]]) -> ArchiveBytes {
    var archive = ArchiveBytes([UInt8](repeating: 0, count: 9))
    archive.frames = contents.map { frame($0) }
    archive.fixTable(contents: contents.map(\.count))
    return archive
  }
}
