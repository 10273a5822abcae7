import CKernels
import EmberKernels

/// Keys and values of all positions so far, in half precision or as codes of 8 or 4 bits.
///
/// Keys of a head lie as a weight matrix whose rows are positions: sixteen positions interleaved;
/// values position by position. `ember_attention` says how exactly. Addresses for the whole context
/// are reserved at once, but the system gives memory only to the pages that are written: the cache
/// grows as it fills, and nothing is ever copied. Layers that see only a window give back the pages
/// of positions that have left it.
package final class KeyValueCache: @unchecked Sendable {
  // Sendable because workers write only the positions and heads that they have claimed.

  let precision: CachePrecision
  let headDimension: Int
  /// A multiple of 16, so that values are read in whole vectors.
  let paddedDimension: Int
  let headCount: Int
  let layerCount: Int
  let positions: Int
  private let layout: Layout
  let memory: ReservedMemory
  /// Of the local layers, where there are any.
  let window: CacheWindow?
  let isLocal: [Bool]
  /// Positions before it are gone from local layers.
  var firstKept = 0

  /// Bytes that one position of one head takes.
  private struct Layout {
    let keys: Int
    let values: Int
    /// Of the keys, and as many of the values.
    let scales: Int

    init(_ architecture: Architecture, _ precision: CachePrecision) {
      let dimension = architecture.attention.headDimension
      let padded = KeyValueCache.paddedDimension(architecture)
      let blocks = KeyValueCache.blocks(dimension)
      keys = precision.hasCodes ? blocks * 4 * precision.keyBits : dimension * 2
      values = precision.valueBits == 4 ? blocks * 16 : padded * precision.valueBits / 8
      scales = precision.hasCodes ? blocks * 2 : 0
    }

    var total: Int { keys + values + 2 * scales }
  }

  /// - Throws: `ModelError.outOfMemory`
  package init(
    architecture: Architecture, capacity: Int, precision: CachePrecision
  ) throws(ModelError) {
    self.precision = precision
    headDimension = architecture.attention.headDimension
    paddedDimension = Self.paddedDimension(architecture)
    headCount = architecture.attention.keyValueHeadCount
    layerCount = architecture.layerCount
    positions = Self.paddedPositions(capacity)
    layout = Layout(architecture, precision)
    window = Self.window(architecture)
    isLocal = (0..<architecture.layerCount).map(architecture.isLocal)
    // Addresses cost nothing: local layers have as many as the others.
    let bytes = Self.byteCount(
      architecture, architecture.layerCount, Layout(architecture, precision), capacity)
    guard bytes < .max, let memory = ReservedMemory(byteCount: bytes) else {
      throw .outOfMemory(bytes: bytes, purpose: "key/value cache of \(capacity) positions")
    }
    self.memory = memory
  }

  /// Bytes that `positions` positions take once they are written, in whole chunks of 64 positions:
  /// L · K · positions · what a position of a head takes, of L layers of K key/value heads; of local
  /// layers, as many positions as they keep. `Int.max` where no integer holds their number.
  ///
  /// Memory comes in pages. Each head's keys, values and two lists of scales grow in a place of their
  /// own, so what is resident is more by less than a page for each of these.
  ///
  /// - Parameter stepLength: tokens that are computed together, at most.
  package static func byteCount(
    architecture a: Architecture, precision: CachePrecision, positions: Int, stepLength: Int
  ) -> Int {
    let layout = Layout(a, precision)
    let local = (0..<a.layerCount).count { a.isLocal(layer: $0) }
    let kept = window(a)?.mostKept(of: positions, stepLength: stepLength) ?? positions
    let bytes = byteCount(a, a.layerCount - local, layout, positions)
    let (sum, overflows) = bytes.addingReportingOverflow(byteCount(a, local, layout, kept))
    return overflows ? .max : sum
  }

  private static func byteCount(
    _ a: Architecture, _ layers: Int, _ layout: Layout, _ positions: Int
  ) -> Int {
    let factors = [a.attention.keyValueHeadCount, paddedPositions(positions), layout.total]
    return factors.reduce(layers) { product, factor in
      let (next, overflows) = product.multipliedReportingOverflow(by: factor)
      return overflows ? .max : next
    }
  }

  private static func window(_ a: Architecture) -> CacheWindow? {
    a.attention.window.map { CacheWindow(length: $0) }
  }

  static func paddedDimension(_ a: Architecture) -> Int {
    (a.attention.headDimension + 15) / 16 * 16
  }

  /// Blocks of codes of one head.
  static func blocks(_ dimension: Int) -> Int { (dimension + 31) / 32 }

  /// Attention reads whole chunks.
  private static func paddedPositions(_ positions: Int) -> Int {
    let chunk = Int(EMBER_ATTENTION_CHUNK)
    return (positions + chunk - 1) / chunk * chunk
  }

  /// The keys of a head; behind them lie its values, the keys' scales and the values' scales.
  private func keys(_ layer: Int, _ head: Int) -> UnsafeMutableRawPointer {
    memory.start + (layer * headCount + head) * positions * layout.total
  }

  private func values(_ layer: Int, _ head: Int) -> UnsafeMutableRawPointer {
    keys(layer, head) + positions * layout.keys
  }

  private func scales(_ layer: Int, _ head: Int) -> UnsafeMutablePointer<UInt16> {
    (values(layer, head) + positions * layout.values).assumingMemoryBound(to: UInt16.self)
  }

  /// Bytes that sixteen positions of one head take, which is how they are saved.
  var groupBytes: Int { 16 * layout.total }

  /// The same positions' keys, values, scales of the keys and scales of the values; each of them lies
  /// in one piece, sixteen positions after sixteen.
  ///
  /// - Parameter groups: of sixteen positions, inside the capacity.
  func parts(
    layer: Int, head: Int, groups: Range<Int>
  ) -> [UnsafeMutableRawBufferPointer] {
    precondition(groups.lowerBound >= 0 && 16 * groups.upperBound <= positions)
    var start = keys(layer, head)
    return [layout.keys, layout.values, layout.scales, layout.scales].map { bytes in
      defer { start += positions * bytes }
      return UnsafeMutableRawBufferPointer(
        start: start + groups.lowerBound * 16 * bytes, count: groups.count * 16 * bytes)
    }
  }

  /// Calls `body` with the beginning of a head's keys, of its values and of their scales, and with
  /// what a position takes of each, in bytes; allocates nothing.
  func forEachPart(
    layer: Int, head: Int, _ body: (_ start: UnsafeMutableRawPointer, _ bytes: Int) -> Void
  ) {
    var start = keys(layer, head)
    func next(_ bytes: Int) {
      body(start, bytes)
      start += positions * bytes
    }
    next(layout.keys)
    next(layout.values)
    next(layout.scales)
    next(layout.scales)
  }

  /// Takes over positions of a cache of the same shape, in whole groups of sixteen: those of the
  /// first group before the range must be the same in both.
  func copyPositions(_ range: Range<Int>, from other: KeyValueCache) {
    precondition(positions == other.positions && layout.total == other.layout.total)
    // What has been released here may still be in the other.
    let first = firstKept > other.firstKept ? 0 : range.lowerBound
    let local = max(first, other.firstKept)
    for layer in 0..<layerCount {
      let start = isLocal[layer] ? min(local, range.upperBound) : range.lowerBound
      let groups = start / 16..<(range.upperBound + 15) / 16
      for head in 0..<headCount {
        let source = other.parts(layer: layer, head: head, groups: groups)
        for (target, source) in zip(parts(layer: layer, head: head, groups: groups), source) {
          target.copyMemory(from: UnsafeRawBufferPointer(source))
        }
      }
    }
    firstKept = min(firstKept, other.firstKept)
    release(before: other.firstKept)
  }

  /// Attention to one head, without the queries.
  func attention(layer: Int, head: Int) -> ember_attention {
    var work = ember_attention()
    work.dimension = headDimension
    work.padded_dimension = paddedDimension
    work.keys = UnsafeRawPointer(keys(layer, head))
    work.values = UnsafeRawPointer(values(layer, head))
    if precision.hasCodes {
      work.key_scales = UnsafePointer(scales(layer, head))
      work.value_scales = work.key_scales + positions * layout.scales / 2
    }
    return work
  }

  /// Bytes of the cache's pages that are memory now; nil where the system does not say.
  package var residentByteCount: Int? { memory.residentByteCount }

  /// Where its addresses begin.
  package var address: UInt { UInt(bitPattern: memory.start) }

  /// Stores key and value of one position, [headDimension] each.
  package func store(
    layer: Int, head: Int, position: Int, key: UnsafePointer<Float>, value: UnsafePointer<Float>,
    kernels: Kernels
  ) {
    if precision.hasCodes {
      storeCodes(layer, head, position, key, value, kernels)
    } else {
      storeHalves(layer, head, position, key, value)
    }
  }

  private func storeHalves(
    _ layer: Int, _ head: Int, _ position: Int, _ key: UnsafePointer<Float>,
    _ value: UnsafePointer<Float>
  ) {
    let keys = self.keys(layer, head).assumingMemoryBound(to: UInt16.self)
    let group = keys + position / 16 * 16 * headDimension + position % 16
    let values =
      self.values(layer, head).assumingMemoryBound(to: UInt16.self) + position * paddedDimension
    for d in 0..<headDimension {
      group[16 * d] = Half.bits(key[d])
      values[d] = Half.bits(value[d])
    }
  }

  private func storeCodes(
    _ layer: Int, _ head: Int, _ position: Int, _ key: UnsafePointer<Float>,
    _ value: UnsafePointer<Float>, _ kernels: Kernels
  ) {
    let blocks = Self.blocks(headDimension)
    let keyScales = scales(layer, head)
    let valueScales = keyScales + positions * layout.scales / 2
    let keys = self.keys(layer, head).assumingMemoryBound(to: UInt8.self)
    let values = self.values(layer, head) + position * layout.values
    for block in 0..<blocks {
      let first = 32 * block
      let count = min(32, headDimension - first)
      let group = position / 16 * blocks + block
      let scale = 16 * group + position % 16
      let place = keys + 64 * precision.keyBits * group + 4 * (position % 16)
      keyScales[scale] =
        precision.keyBits == 8
        ? CacheCodes.eightBits(key + first, count) { i, code in
          place[64 * (i / 4) + i % 4] = UInt8(bitPattern: code) ^ 0x80
        }
        : CacheCodes.fourBits(key + first, count, kernels) { i, pair in
          place[64 * (i / 4) + i % 4] = pair
        }
      valueScales[scale] =
        precision.valueBits == 8
        ? CacheCodes.eightBits(value + first, count) { i, code in
          (values + first + i).storeBytes(of: code, as: Int8.self)
        }
        : CacheCodes.fourBits(value + first, count, kernels) { i, pair in
          (values + 16 * block + i).storeBytes(of: pair, as: UInt8.self)
        }
    }
  }
}
