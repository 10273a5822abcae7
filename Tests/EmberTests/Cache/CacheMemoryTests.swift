import EmberKernels
import EmberModel
import EmberTestSupport
import Foundation
import Testing

#if os(Linux)
  @Suite("The key/value cache takes memory as it fills", .serialized)
  struct CacheMemoryTests {
    private static let layers = 2
    private static let heads = 4
    private static let dimension = 64
    private static let capacity = 8192

    private static let architecture = Architecture(
      name: "none", vocabularySize: 1, width: dimension, layerCount: layers, feedForwardWidth: 1,
      contextLength: capacity, norm: .init(kind: .layer, epsilon: 0), position: .learned,
      attention: .init(headCount: heads, keyValueHeadCount: heads, headDimension: dimension),
      feedForward: .init(kind: .plain, activation: .silu), tiedHead: true)

    private static func fill(_ cache: KeyValueCache, _ positions: Range<Int>) {
      let numbers = (0..<dimension).map { Float($0 + 1) }
      for layer in 0..<layers {
        for head in 0..<heads {
          for position in positions {
            cache.store(
              layer: layer, head: head, position: position, key: numbers, value: numbers,
              kernels: .best)
          }
        }
      }
    }

    @Test("half of the positions take half of the memory", arguments: CachePrecision.allCases)
    func growth(precision: CachePrecision) throws {
      let cache = try KeyValueCache(
        architecture: Self.architecture, capacity: Self.capacity, precision: precision)
      func bytes(_ positions: Int) -> Int {
        KeyValueCache.byteCount(
          architecture: Self.architecture, precision: precision, positions: positions, stepLength: 1
        )
      }
      // At the ends of each head's keys, values and scales, a page may be in use only in part.
      let places = Self.layers * Self.heads * 4
      let slack = places * Int(getpagesize())
      #expect(try #require(cache.residentByteCount) == 0)
      var filled = 0
      for positions in [64, Self.capacity / 4, Self.capacity / 2] {
        Self.fill(cache, filled..<positions)
        filled = positions
        let resident = try #require(cache.residentByteCount)
        #expect(resident >= bytes(positions), "\(positions)")
        #expect(resident <= bytes(positions) + slack, "\(positions)")
      }
      #expect(bytes(Self.capacity) == 2 * bytes(Self.capacity / 2))
    }

    @Test(
      "large pages are declined",
      .enabled(
        if: FileManager.default.fileExists(atPath: "/sys/kernel/mm/transparent_hugepage"),
        "a system without transparent huge pages gives none"))
    func largePages() throws {
      let cache = try KeyValueCache(
        architecture: Self.architecture, capacity: Self.capacity, precision: .half)
      // The system's list of mappings: a line with the addresses, then fields, VmFlags the last.
      // It has no size, so it is read to its end.
      let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: "/proc/self/smaps"))
      let list = String(decoding: try #require(try file.readToEnd()), as: UTF8.self)
      let address = cache.address
      var flags: Substring?
      var isHere = false
      for line in list.split(separator: "\n") {
        let words = line.split(separator: " ")
        let ends = words.first?.split(separator: "-").map { UInt($0, radix: 16) } ?? []
        if ends.count == 2, let first = ends[0], let end = ends[1] {
          isHere = (first..<end).contains(address)
        } else if isHere, line.hasPrefix("VmFlags:") {
          flags = line
        }
      }
      withExtendedLifetime(cache) {}
      // "nh": no huge page advise (Documentation/filesystems/proc.rst).
      #expect(try #require(flags).split(separator: " ").contains("nh"))
    }
  }
#endif
