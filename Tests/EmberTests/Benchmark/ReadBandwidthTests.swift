import Ember
import Testing

@Suite("Read bandwidth")
struct ReadBandwidthTests {
  @Test("Every word is read, on any number of threads", arguments: [1, 2, 3])
  func readsAll(threads: Int) throws {
    let bandwidth = try ReadBandwidth(limit: 16 << 20)
    #expect(bandwidth.bytes.count == 16 << 20)
    #expect(bandwidth.measure(threads: threads) > 0)
    let expected = bandwidth.bytes.bindMemory(to: UInt64.self).reduce(0, &+)
    #expect(bandwidth.checksum == expected)
  }

  @Test("The buffer holds weights of every type: halves of ordinary size")
  func halves() throws {
    let bandwidth = try ReadBandwidth(limit: 16 << 20)
    let sizes = bandwidth.bytes.bindMemory(to: UInt16.self).lazy.map { $0 & 0x7FFF }
    // 2⁻⁸ is 0x1C00 and 2⁻⁵ is 0x2800.
    #expect(sizes.allSatisfy { $0 >= 0x1C00 && $0 < 0x2800 })
  }
}
