import CKernels
import EmberKernels
import Foundation

/// Keys and values of all positions so far, in half precision or as int8 codes.
///
/// Keys of a head lie as a weight matrix whose rows are positions: sixteen positions interleaved;
/// values position by position. `ember_attention` says how exactly. The whole context is reserved
/// at once, but the system gives memory only to the pages that are written, so the cache grows as
/// it fills.
final class KeyValueCache: @unchecked Sendable {
  // Sendable because workers write only the positions and heads that they have claimed.

  let precision: CachePrecision
  let headDimension: Int
  /// A multiple of 16, so that values are read in whole vectors.
  let paddedDimension: Int
  private let headCount: Int
  private let positions: Int
  private let layout: Layout
  private let memory: UnsafeMutableRawPointer
  /// The first cache line of `memory`.
  private let start: UnsafeMutableRawPointer

  /// Bytes that one position of one head takes.
  private struct Layout {
    let keys: Int
    let values: Int
    /// Of the keys, and as many of the values.
    let scales: Int

    init(_ architecture: Architecture, _ precision: CachePrecision) {
      let dimension = architecture.attention.headDimension
      let padded = KeyValueCache.paddedDimension(architecture)
      switch precision {
      case .half:
        (keys, values, scales) = (dimension * 2, padded * 2, 0)
      case .int8:
        let blocks = KeyValueCache.blocks(dimension)
        (keys, values, scales) = (blocks * 32, padded, blocks * 2)
      }
    }

    var total: Int { keys + values + 2 * scales }
  }

  /// - Throws: `ModelError.outOfMemory`
  init(
    architecture: Architecture, capacity: Int, precision: CachePrecision
  ) throws(ModelError) {
    self.precision = precision
    headDimension = architecture.attention.headDimension
    paddedDimension = Self.paddedDimension(architecture)
    headCount = architecture.attention.keyValueHeadCount
    positions = Self.paddedPositions(capacity)
    layout = Layout(architecture, precision)
    let bytes = Self.byteCount(
      architecture: architecture, precision: precision, positions: capacity)
    // calloc gives untouched zero pages for a block of this size, not memory.
    guard bytes < .max - Self.line, let memory = calloc(bytes + Self.line, 1) else {
      throw .outOfMemory(bytes: bytes, purpose: "key/value cache of \(capacity) positions")
    }
    self.memory = memory
    start = memory.alignedUp(toMultipleOf: Self.line)
  }

  deinit { free(memory) }

  private static let line = 64

  /// Bytes that `positions` positions take once they are written; `Int.max` where no integer holds
  /// their number.
  static func byteCount(
    architecture a: Architecture, precision: CachePrecision, positions: Int
  ) -> Int {
    let factors = [
      a.attention.keyValueHeadCount, paddedPositions(positions), Layout(a, precision).total,
    ]
    return factors.reduce(a.layerCount) { product, factor in
      let (next, overflows) = product.multipliedReportingOverflow(by: factor)
      return overflows ? .max : next
    }
  }

  private static func paddedDimension(_ a: Architecture) -> Int {
    (a.attention.headDimension + 15) / 16 * 16
  }

  /// Blocks of int8 codes of one head.
  static func blocks(_ dimension: Int) -> Int { (dimension + 31) / 32 }

  /// Attention reads whole chunks.
  private static func paddedPositions(_ positions: Int) -> Int {
    let chunk = Int(EMBER_ATTENTION_CHUNK)
    return (positions + chunk - 1) / chunk * chunk
  }

  /// The keys of a head; behind them lie its values, the keys' scales and the values' scales.
  private func keys(_ layer: Int, _ head: Int) -> UnsafeMutableRawPointer {
    start + (layer * headCount + head) * positions * layout.total
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

  /// Attention to one head, without the queries.
  func attention(layer: Int, head: Int) -> ember_attention {
    var work = ember_attention()
    work.dimension = headDimension
    work.padded_dimension = paddedDimension
    work.keys = UnsafeRawPointer(keys(layer, head))
    work.values = UnsafeRawPointer(values(layer, head))
    if precision == .int8 {
      work.key_scales = UnsafePointer(scales(layer, head))
      work.value_scales = work.key_scales + positions * layout.scales / 2
    }
    return work
  }

  /// Stores key and value of one position, [headDimension] each.
  func store(
    layer: Int, head: Int, position: Int, key: UnsafePointer<Float>, value: UnsafePointer<Float>
  ) {
    switch precision {
    case .half: storeHalves(layer, head, position, key, value)
    case .int8: storeCodes(layer, head, position, key, value)
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
    _ value: UnsafePointer<Float>
  ) {
    let keyScales = scales(layer, head)
    let valueScales = keyScales + positions * layout.scales / 2
    let keys = self.keys(layer, head).assumingMemoryBound(to: UInt8.self)
    let values =
      self.values(layer, head).assumingMemoryBound(to: Int8.self) + position * paddedDimension
    for block in 0..<Self.blocks(headDimension) {
      let first = 32 * block
      let count = min(32, headDimension - first)
      let group = position / 16 * Self.blocks(headDimension) + block
      let place = keys + 512 * group + 4 * (position % 16)
      keyScales[16 * group + position % 16] = Self.encode(key + first, count) { i, code in
        place[64 * (i / 4) + i % 4] = UInt8(bitPattern: code) ^ 0x80
      }
      valueScales[16 * group + position % 16] = Self.encode(value + first, count) { i, code in
        values[first + i] = code
      }
    }
  }

  /// Hands out the codes of a block and returns its scale, a half.
  ///
  /// What is not finite, or too large for a half's scale, gives a scale that is not finite: it must
  /// not disappear, and is reported where the logits are read.
  @inline(__always)
  private static func encode(
    _ x: UnsafePointer<Float>, _ count: Int, _ store: (Int, Int8) -> Void
  ) -> UInt16 {
    var largest: Float = 0
    var isFinite = true
    for i in 0..<count {
      largest = max(largest, abs(x[i]))
      isFinite = isFinite && x[i].isFinite
    }
    let scale = Half.bits(isFinite ? largest / 127 : .nan)
    let rounded = Half.value(scale)
    let inverse = rounded > 0 ? 1 / rounded : 0
    for i in 0..<count {
      // The scale is rounded, so that the largest may come to lie beyond 127. Adding 1.5 · 2^23
      // rounds to the nearest integer, ties to even.
      let code = isFinite ? min(max(x[i] * inverse, -127), 127) : 0
      store(i, Int8((code + 12_582_912) - 12_582_912))
    }
    return scale
  }
}
