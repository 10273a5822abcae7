import EmberFormat

/// Keys and values of a few positions of one layer, gathered from the cache or spread into it.
///
/// Unsafe in that it copies raw bytes of the cache; the lengths are the cache's own.
struct SessionBlock: ~Copyable {
  private let cache: KeyValueCache
  private let heads: Int
  private let memory: UnsafeMutableRawBufferPointer

  init(_ session: InferenceSession) {
    cache = session.cache
    heads = session.model.architecture.attention.keyValueHeadCount
    // No overflow: the cache has room for as many bytes.
    memory = .allocate(
      byteCount: SessionHeader.blockPositions / 16 * heads * cache.groupBytes, alignment: 64)
  }

  deinit { memory.deallocate() }

  /// Groups of sixteen positions that hold `positions`.
  static func groups(_ positions: Range<Int>) -> Range<Int> {
    positions.lowerBound / 16..<(positions.upperBound + 15) / 16
  }

  /// Bytes of those groups: every head's keys, values and scales.
  func byteCount(_ groups: Range<Int>) -> Int { groups.count * heads * cache.groupBytes }

  /// Replaces `frame` by the groups' bytes, compressed: zeros where the layer does not keep them.
  ///
  /// - Returns: false where zstd fails.
  func compress(
    layer: Int, _ groups: Range<Int>, _ isKept: Bool, with compressor: FrameCompressor,
    into frame: inout [UInt8]
  ) -> Bool {
    var offset = 0
    if !isKept {
      offset = byteCount(groups)
      UnsafeMutableRawBufferPointer(rebasing: memory[..<offset])
        .initializeMemory(as: UInt8.self, repeating: 0)
    }
    for head in 0..<heads where isKept {
      for part in cache.parts(layer: layer, head: head, groups: groups) {
        // The slice checks the part's length against the memory.
        UnsafeMutableRawBufferPointer(rebasing: memory[offset..<offset + part.count])
          .copyMemory(from: UnsafeRawBufferPointer(part))
        offset += part.count
      }
    }
    return compressor.compress(UnsafeRawBufferPointer(rebasing: memory[..<offset]), into: &frame)
  }

  /// Puts the groups' bytes into the cache, if the layer keeps them.
  ///
  /// - Returns: nil, or what was found instead of a frame of so many bytes; then the cache is as it
  ///   was.
  func decompress(
    _ frame: [UInt8], layer: Int, _ groups: Range<Int>, _ isKept: Bool,
    with decompressor: FrameDecompressor
  ) -> String? {
    let room = UnsafeMutableRawBufferPointer(rebasing: memory[..<byteCount(groups)])
    let found = frame.withUnsafeBytes { decompressor.decompress($0, into: room) }
    if let found { return found }
    if !isKept { return nil }
    var offset = 0
    for head in 0..<heads {
      for part in cache.parts(layer: layer, head: head, groups: groups) {
        part.copyMemory(
          from: UnsafeRawBufferPointer(rebasing: room[offset..<offset + part.count]))
        offset += part.count
      }
    }
    return nil
  }
}
