import Ember
import Foundation
import Testing

@Suite("Report of a benchmark")
struct BenchmarkReportTests {
  /// Two rows with every kind of value.
  private struct Sample: BenchmarkReport {
    let summary: [ReportField] = [("file", .text("a,\"b\"\n.q4")), ("file_bytes", .integer(7))]
    let measurements: [[ReportField]] = [
      [("test", .text("decode")), ("rate", .number(1.5))],
      [("test", .text("prompt")), ("rate", .number(nil))],
    ]
    let blocks: [MarkdownBlock] = [
      .paragraph("machine,\nfile"),
      .table(
        TextTable(header: ["test", "rate"], rows: [["decode", "1.5"], ["prompt", "–"]])),
      .paragraph("memory"),
    ]
  }

  @Test("Median and range")
  func spread() throws {
    #expect(Spread([]) == nil)
    let one = try #require(Spread([3]))
    #expect((one.median, one.minimum, one.maximum) == (3, 3, 3))
    let odd = try #require(Spread([9, 1, 2]))
    #expect((odd.median, odd.minimum, odd.maximum) == (2, 1, 9))
    let even = try #require(Spread([4, 1, 3, 2]))
    #expect((even.median, even.minimum, even.maximum) == (2.5, 1, 4))
  }

  @Test("Markdown is paragraphs and tables, apart by an empty line")
  func markdown() {
    #expect(
      Sample().markdown == """
        machine, file

        | test   | rate |
        | ------ | ---: |
        | decode |  1.5 |
        | prompt |    – |

        memory

        """)
  }

  @Test("CSV has the summary in every row, quotes doubled, nothing for what is not known")
  func csv() {
    #expect(
      Sample().csv
        == "file,file_bytes,test,rate\n\"a,\"\"b\"\"\n.q4\",7,decode,1.5\n"
        + "\"a,\"\"b\"\"\n.q4\",7,prompt,\n")
  }

  @Test("JSON has the same fields, null for what is not known")
  func json() throws {
    let data = try JSONEncoder().encode(Sample())
    let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    #expect(object["file_bytes"] as? Int == 7)
    let results = try #require(object["results"] as? [[String: Any]])
    #expect(results.map { $0["test"] as? String } == ["decode", "prompt"])
    #expect(results[0]["rate"] as? Double == 1.5)
    #expect(results[1]["rate"] is NSNull)
  }
}
