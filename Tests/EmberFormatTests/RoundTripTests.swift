import EmberFormat
import EmberTestSupport
import Foundation
import SystemPackage
import Testing

@Suite struct RoundTripTests {
  @Test(arguments: [Int.max, 1, 7, 4096])
  func everythingComesBack(chunk: Int) throws {
    let folder = try TestFolder()
    let path = folder.path("model.q4")
    let written = try Sample.extents()
    let fileBytes = try Sample.write(written, to: path, chunk: chunk)

    let file = try ModelFile(opening: path, verifyingChecksums: true)
    #expect(try folder.names == ["model.q4"])
    #expect(file.path == path)
    #expect(file.version == 1)
    #expect(file.fileBytes == fileBytes)
    #expect(try Sample.read(path).count == fileBytes)
    #expect(file.metadata == Sample.metadata)
    #expect(file.tokenizer == Sample.tokenizer)
    #expect(file.extents.count == written.count)
    #expect(file.tensors.map(\.name) == written.joined().map(\.name))
    for (index, extent) in written.enumerated() {
      #expect(file.extents[index].offset % 4096 == 0)
      for tensor in extent {
        let record = try #require(file.tensor(named: tensor.name))
        #expect(record.layout == tensor.layout)
        #expect(record.outlierCount == tensor.outlierCount)
        #expect(record.relativeError == 0.0625)
        #expect(record.offset % 64 == 0)
        #expect(record.extent == index)
        #expect(record.checksum == CRC32.checksum(tensor.bytes))
        #expect(file.bytes(of: record).elementsEqual(tensor.bytes))
      }
    }
    #expect(file.tensor(named: "absent") == nil)
  }

  @Test(arguments: [(17, 172), (1, 1), (16, 64), (33, 65), (1, 4096), (300, 1)])
  func raggedShapes(_ rows: Int, _ columns: Int) throws {
    let folder = try TestFolder()
    for type in BlockType.allCases {
      let tensor = try SampleTensor("t", type, rows, columns)
      try Sample.write([[tensor]], to: folder.path("m"))
      let file = try ModelFile(opening: folder.path("m"), verifyingChecksums: true)
      #expect(file.tensors.map(\.layout) == [tensor.layout])
      #expect(file.bytes(of: file.tensors[0]).elementsEqual(tensor.bytes))
    }
  }

  /// Larger than every buffer on the way.
  @Test func largeTensor() throws {
    let folder = try TestFolder()
    let tensor = try SampleTensor("t", .q8, 1024, 5000, outlierSteps: 2)
    try Sample.write([[tensor], [try SampleTensor("u", .f32, 1, 1)]], to: folder.path("m"))
    let file = try ModelFile(opening: folder.path("m"))
    var calls: [[Int]] = []
    try file.verify { calls.append([$0, $1]) }
    let total = tensor.bytes.count + 4
    #expect(calls.last == [total, total])
    #expect(calls.map { $0[0] } == calls.map { $0[0] }.sorted())
    #expect(file.bytes(of: file.tensors[0]).elementsEqual(tensor.bytes))
    file.advise(willNeed: 0..<file.fileBytes)
    file.advise(.dontNeed, 5..<(Int.max))
    #expect(file.bytes(of: file.tensors[0]).elementsEqual(tensor.bytes))
    #expect(file.bytes(of: file.extents[0]).elementsEqual(tensor.bytes))
  }

  @Test func emptySectionsAndNoTensors() throws {
    let folder = try TestFolder()
    try Sample.write([], to: folder.path("m"), metadata: [], tokenizer: [])
    let file = try ModelFile(opening: folder.path("m"), verifyingChecksums: true)
    #expect(file.tensors.isEmpty)
    #expect(file.metadata.isEmpty)
    #expect(file.tokenizer.isEmpty)
  }

  @Test func equalInputGivesEqualBytes() throws {
    let folder = try TestFolder()
    try Sample.write(try Sample.extents(), to: folder.path("a"))
    try Sample.write(try Sample.extents(), to: folder.path("other-name"), chunk: 33)
    #expect(try Sample.read(folder.path("a")) == Sample.read(folder.path("other-name")))
  }

  /// The mapping stays valid while the file is replaced and removed.
  @Test func replacedWhileOpen() throws {
    let folder = try TestFolder()
    let tensor = try SampleTensor("t", .q4, 100, 100)
    try Sample.write([[tensor]], to: folder.path("m"))
    let file = try ModelFile(opening: folder.path("m"))
    try Sample.write(try Sample.extents(), to: folder.path("m"))
    #expect(file.bytes(of: file.tensors[0]).elementsEqual(tensor.bytes))
    try file.verify()
  }
}
