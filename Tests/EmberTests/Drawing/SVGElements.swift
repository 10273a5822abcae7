import Foundation
import Testing

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// The elements of an SVG document, in their order; fails where it is not well-formed XML.
final class SVGElements: NSObject, XMLParserDelegate {
  struct Element {
    let name: String
    let attributes: [String: String]
    var text = ""

    func number(_ key: String) -> Double? { attributes[key].flatMap(Double.init) }

    /// Of a polyline.
    var points: [(x: Double, y: Double)] {
      (attributes["points"] ?? "").split(separator: " ").compactMap {
        let pair = $0.split(separator: ",").compactMap { Double($0) }
        return pair.count == 2 ? (pair[0], pair[1]) : nil
      }
    }
  }

  private(set) var all: [Element] = []
  private var open: [Int] = []

  init(_ text: String) throws {
    super.init()
    let parser = XMLParser(data: Data(text.utf8))
    parser.delegate = self
    let isGood = parser.parse()
    try #require(isGood, "\(String(describing: parser.parserError))")
    try #require(all.first?.name == "svg")
  }

  func named(_ name: String) -> [Element] { all.filter { $0.name == name } }

  func parser(
    _ parser: XMLParser, didStartElement name: String, namespaceURI: String?,
    qualifiedName: String?, attributes: [String: String]
  ) {
    open.append(all.count)
    all.append(Element(name: name, attributes: attributes))
  }

  func parser(
    _ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?
  ) {
    open.removeLast()
  }

  func parser(_ parser: XMLParser, foundCharacters string: String) {
    if let last = open.last { all[last].text += string }
  }
}
