import EmberGeneration
import EmberKernels
import EmberModel
import EmberTestSupport
import Foundation
import SystemPackage
import Testing

/// Layers that see only a window keep only what it needs; logits do not notice.
@Suite("The key/value cache of a window")
struct CacheWindowTests {
  /// A window of 24 positions in every second layer.
  private static func model() throws -> Model {
    let checkpoint = try #require(ArchitectureCheckpoint.all.first { $0.name == "gemma2" })
    return try ArchitectureModel.converted(checkpoint, bits: 16).model
  }

  private static let ids: [Int32] = (0..<500).map { (index: Int) -> Int32 in
    let mixed = index * 37 + index * index
    return Int32(3 + mixed % 90)
  }

  private static func session(
    _ model: Model, chunk: Int = 16, precision: CachePrecision = .half
  ) throws -> InferenceSession {
    try InferenceSession(
      model: model, contextLength: 512, threads: 2, chunkLength: chunk, cachePrecision: precision)
  }

  private static func logits(_ session: InferenceSession, to end: Int) throws -> [UInt32] {
    try session.append(Array(ids[session.position..<end])).map(\.bitPattern)
  }

  /// Nothing is released before a text that is computed in one step.
  private static func expected(
    _ model: Model, to end: Int, precision: CachePrecision = .half
  ) throws -> [UInt32] {
    try logits(session(model, chunk: 512, precision: precision), to: end)
  }

  @Test("logits are the same", arguments: CachePrecision.allCases)
  func sameLogits(precision: CachePrecision) throws {
    let model = try Self.model()
    let session = try Self.session(model, precision: precision)
    for end in [100, 101, 250, 251, 499, 500] {
      #expect(
        try Self.logits(session, to: end)
          == Self.expected(model, to: end, precision: precision), "\(end)")
    }
  }

  @Test("a few positions can be taken back; more begin anew")
  func truncation() throws {
    let model = try Self.model()
    let session = try Self.session(model)
    _ = try Self.logits(session, to: 480)
    #expect(session.truncate(to: 400) == 400)
    #expect(try Self.logits(session, to: 450) == Self.expected(model, to: 450))
    #expect(session.truncate(to: 200) == 0)
    #expect(session.position == 0)
    #expect(try Self.logits(session, to: 300) == Self.expected(model, to: 300))
    // Nothing was released yet that a token at 100 sees.
    #expect(session.truncate(to: 290) == 290)
  }

  @Test("a sequence takes over another's window")
  func copies() throws {
    let model = try Self.model()
    let session = try ParallelSession(
      model: model, sequences: 2, contextLength: 512, threads: 2, stepCapacity: 64)
    func append(_ sequence: Int, _ range: Range<Int>) throws -> [UInt32] {
      var last: [UInt32] = []
      for first in stride(from: range.lowerBound, to: range.upperBound, by: 32) {
        let tokens = Array(Self.ids[first..<min(first + 32, range.upperBound)])
        last = try session.append([
          .init(sequence: sequence, tokens: tokens, wantsLogits: true)
        ])[0].map(\.bitPattern)
      }
      return last
    }
    _ = try append(0, 0..<300)
    _ = try append(1, 0..<480)
    // To one that has released less, and to one that has released more.
    session.copy(sequence: 1, to: 0, from: 300)
    #expect(try append(0, 480..<490) == Self.expected(model, to: 490))
    session.reset(sequence: 0)
    _ = try append(0, 0..<250)
    session.copy(sequence: 0, to: 1, from: 250)
    #expect(try append(1, 250..<260) == Self.expected(model, to: 260))
    session.reset(sequence: 1)
    #expect(try append(1, 0..<260) == Self.expected(model, to: 260))
  }

  @Test("a session's file holds what the window keeps")
  func sessionFile() throws {
    let model = try Self.model()
    let folder = try TemporaryFolder()
    let file = SessionFile(folder.path("window.session"))
    let first = try Self.session(model)
    _ = try Self.logits(first, to: 450)
    let bytes = try file.save(Self.ids, of: first)
    #expect(bytes > 0)
    for (end, restored) in [(500, 450), (450, 449), (400, 399), (300, 299), (250, 0)] {
      let second = try Self.session(model)
      #expect(try file.restore(Array(Self.ids[..<end]), into: second) == restored)
      #expect(try Self.logits(second, to: end) == Self.expected(model, to: end))
    }
    // A text that forgot what the file would have to hold is not saved.
    first.truncate(to: 440)
    #expect(try file.save(Array(Self.ids[..<300]), of: first) == 0)
  }

  @Test("memory follows the window", arguments: CachePrecision.allCases)
  func memory(precision: CachePrecision) throws {
    let (window, capacity, layers, heads, dimension) = (256, 16_384, 4, 2, 64)
    let architecture = Architecture(
      name: "none", vocabularySize: 1, width: dimension, layerCount: layers, feedForwardWidth: 1,
      contextLength: capacity, norm: .init(kind: .layer, epsilon: 0), position: .learned,
      attention: .init(
        headCount: heads, keyValueHeadCount: heads, headDimension: dimension, window: window,
        globalLayers: [3]),
      feedForward: .init(kind: .plain, activation: .silu), tiedHead: true)
    let cache = try KeyValueCache(
      architecture: architecture, capacity: capacity, precision: precision)
    func bytes(_ positions: Int) -> Int {
      KeyValueCache.byteCount(
        architecture: architecture, precision: precision, positions: positions, stepLength: 1)
    }
    let numbers = (0..<dimension).map { Float($0 + 1) }
    // Pages in use in part: at both ends of each head's keys, values and scales.
    let slack = layers * heads * 4 * 2 * Int(getpagesize())
    for position in 0..<capacity {
      cache.release(behind: position)
      for layer in 0..<layers {
        for head in 0..<heads {
          cache.store(
            layer: layer, head: head, position: position, key: numbers, value: numbers,
            kernels: .best)
        }
      }
      if position % 1024 == 1023, let resident = cache.residentByteCount {
        #expect(resident <= bytes(position + 1) + slack, "\(position)")
      }
    }
    // One layer keeps all, each of the others 449 positions, in whole chunks 512.
    #expect(bytes(capacity) / (capacity + 3 * 512) == bytes(256) / (4 * 256))
    cache.startAnew()
    if let resident = cache.residentByteCount {
      #expect(resident <= bytes(256) / (4 * 256) * capacity + slack)
    }
  }

  @Test("what is kept is enough for all that may come")
  func arithmetic() {
    for length in [1, 24, 256, 4096] {
      let window = CacheWindow(length: length)
      for position in stride(from: 0, to: 3 * length + 1000, by: 7) {
        let first = window.firstKept(at: position)
        for back in [0, 1, 63, 64, 127, 128] where back <= position {
          #expect(window.isWhole(at: position - back, from: first))
        }
        #expect(
          position + 17 - first <= window.mostKept(of: position + 17, stepLength: 17))
      }
    }
  }
}
