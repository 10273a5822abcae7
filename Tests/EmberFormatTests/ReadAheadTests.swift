import EmberFormat
import Testing

@Suite("Reading ahead")
struct ReadAheadTests {
  @Test("goes through all ranges, whatever the window, with and without populating")
  func windows() throws {
    let folder = try TestFolder()
    let path = folder.path("model.q4")
    try Sample.store(try Sample.bytes(try Sample.extents()), at: path)
    let file = try ModelFile(opening: path)
    let all = 0..<file.fileBytes
    for ranges in [[], [all], [5..<6, 10..<5000], [0..<0], [0..<file.fileBytes + 100_000]] {
      for (window, populating) in [(1000, true), (1000, false), (32 << 20, true), (1 << 22, false)]
      {
        var reading = ReadAhead(file, ranges, windowBytes: window, populating: populating)
        var calls = 0
        while !reading.isDone {
          reading.advance()
          calls += 1
        }
        #expect(reading.bytesDone == ranges.reduce(0) { $0 + $1.count })
        #expect(reading.totalBytes == reading.bytesDone)
        #expect(calls == ranges.reduce(0) { $0 + ($1.count + window - 1) / window })
      }
    }
  }
}
