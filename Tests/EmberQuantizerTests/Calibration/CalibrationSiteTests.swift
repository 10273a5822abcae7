import EmberModel
import EmberQuantizer
import Testing

struct CalibrationSiteTests {
  @Test(arguments: [
    ("layers.3.attention.query.weight", "layers.3.attention.query"),
    ("layers.3.attention.key.weight", "layers.3.attention.query"),
    ("layers.3.attention.value.weight", "layers.3.attention.query"),
    ("layers.0.attention.output.weight", "layers.0.attention.output"),
    ("layers.21.feed_forward.gate.weight", "layers.21.feed_forward.up"),
    ("layers.21.feed_forward.up.weight", "layers.21.feed_forward.up"),
    ("layers.21.feed_forward.down.weight", "layers.21.feed_forward.down"),
    ("head", "head"),
    ("embedding", nil), ("position", nil), ("final_norm.weight", nil),
    ("layers.3.attention_norm.weight", nil), ("layers.3.attention.query.bias", nil),
    ("layers.-1.attention.query.weight", nil), ("layers.x.attention.query.weight", nil),
    ("layers.3.attention.query", nil), ("layers..attention.query.weight", nil), ("", nil),
  ])
  func siteOfTensor(tensor: String, site: String?) {
    #expect(CalibrationSite(ofTensor: tensor, tiedHead: false)?.name == site)
  }

  @Test func tiedHeadIsTheEmbedding() {
    #expect(CalibrationSite(ofTensor: "embedding", tiedHead: true) == .head)
    #expect(CalibrationSite(ofTensor: "embedding", tiedHead: true)?.name == "head")
  }

  @Test func namesAreUnique() {
    let architecture = Architecture(
      name: "test", vocabularySize: 10, width: 24, layerCount: 3, feedForwardWidth: 40,
      contextLength: 16, norm: .init(kind: .layer, epsilon: 1e-5), position: .learned,
      attention: .init(headCount: 3, keyValueHeadCount: 1, headDimension: 10),
      feedForward: .init(kind: .plain, activation: .geluTanh), tiedHead: false)
    let sites = CalibrationSite.all(in: architecture)
    #expect(sites.count == 13 && Set(sites.map(\.name)).count == 13)
    #expect(sites.map { $0.columns(in: architecture) }.prefix(4) == [24, 30, 24, 40])
    #expect(sites.last == .head)
  }
}
