import EmberTestSupport
import Foundation

/// What transformers says of a fixture in fp32, as is and with keys and values rounded to halves.
struct EncoderDecoderReference: Sendable {
  /// [source positions][width]
  let encoded: [[Float]]
  /// [target positions][vocabulary]
  let logits: [[Float]]
  let encodedOfHalves: [[Float]]
  let logitsOfHalves: [[Float]]

  init(_ fixture: EncoderDecoderFixture, width: Int, vocabulary: Int) throws {
    let path = EncoderDecoderFixture.root.appending(path: "\(fixture.name)/reference.bin")
    let data = try Data(contentsOf: path)
    var place = data.startIndex
    func rows(_ count: Int, _ width: Int) -> [[Float]] {
      (0..<count).map { _ in
        (0..<width).map { _ in
          defer { place += 4 }
          return Float(
            bitPattern: data[place..<place + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) })
        }
      }
    }
    let expected = fixture.expected
    encoded = rows(expected.sourcePositions.count, width)
    logits = rows(expected.targetPositions.count, vocabulary)
    encodedOfHalves = rows(expected.sourcePositions.count, width)
    logitsOfHalves = rows(expected.targetPositions.count, vocabulary)
  }
}
