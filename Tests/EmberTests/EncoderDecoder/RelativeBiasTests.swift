import Ember
import Testing

@Suite("Relative biases")
struct RelativeBiasTests {
  @Test("distances fall into the buckets of transformers")
  func buckets() throws {
    let fixture = try EncoderDecoderFixture("t5")
    let expected = try #require(fixture.expected.buckets)
    for (name, isBidirectional, buckets, maximum) in [
      ("encoder", true, 32, 128), ("decoder", false, 32, 128),
      ("small_encoder", true, 8, 20), ("small_decoder", false, 8, 20),
    ] {
      let bias = RelativeBias(
        buckets: buckets, maximumDistance: maximum, isBidirectional: isBidirectional)
      let distances = isBidirectional ? -200..<201 : 0..<201
      #expect(distances.map { bias.bucket(of: $0) } == expected[name], "\(name)")
    }
  }

  @Test("any distance has a bucket, however far")
  func extremes() {
    for isBidirectional in [false, true] {
      let bias = RelativeBias(buckets: 4, maximumDistance: 3, isBidirectional: isBidirectional)
      for distance in [0, 1, 2, 3, 1 << 30, -(1 << 30), -1] {
        #expect((0..<4).contains(bias.bucket(of: distance)))
      }
    }
  }
}
