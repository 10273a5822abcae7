import EmberFormat
import EmberTestSupport
import Foundation
import SystemPackage
import Testing

@Suite("Files that grow by lines")
struct LineFileTests {
  private func lines(_ file: LineFile) throws -> [String] {
    var lines: [String] = []
    try file.readLines { index, line in
      #expect(index == lines.count)
      lines.append(String(decoding: line, as: UTF8.self))
    }
    return lines
  }

  @Test(
    "go on behind the last complete line",
    arguments: [
      ("", []), ("a", []), ("\n", [""]), ("a\nbc\n", ["a", "bc"]), ("a\nbc\nde", ["a", "bc"]),
      ("\n\nx", ["", ""]),
    ])
  func continuing(_ content: String, _ complete: [String]) throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let url = folder.appending(path: "lines")
    try Data(content.utf8).write(to: url)
    do {
      let file = try LineFile(continuing: FilePath(url.path))
      #expect(try lines(file) == complete)
      // Reading changes nothing.
      #expect(try String(contentsOf: url, encoding: .utf8) == content)
      try file.append("new\n")
      try file.append("newer\nnewest\n")
    }
    let expected = (complete + ["new", "newer", "newest"]).map { $0 + "\n" }.joined()
    #expect(try String(contentsOf: url, encoding: .utf8) == expected)
  }

  @Test("are read across the bounds of what is read at once")
  func long() throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = try LineFile(continuing: FilePath(folder.appending(path: "lines").path))
    let written = [1 << 20, 3, (1 << 20) - 1, 2_500_000].map { String(repeating: "x", count: $0) }
    for line in written { try file.append(line + "\n") }
    #expect(try lines(file) == written)
    try file.append("end\n")
    #expect(try lines(file) == written + ["end"])
  }

  @Test("are one process's at a time, and regular")
  func refused() throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = FilePath(folder.appending(path: "lines").path)
    let file = try LineFile(continuing: path)
    #expect(throws: FormatError.self) { try LineFile(continuing: path) }
    try file.append("a\n")
    #expect(throws: FormatError.isDirectory(FilePath(folder.path))) {
      try LineFile(continuing: FilePath(folder.path))
    }
    #expect(throws: FormatError.notRegularFile("/dev/null")) {
      try LineFile(continuing: "/dev/null")
    }
    #expect(throws: FormatError.self) { try LineFile(continuing: path.pushing("below")) }
  }
}
