import CKernels
import EmberKernels
import Foundation

/// Keys and values of all positions so far, in half precision.
///
/// Keys of a head lie as [position / 16][dimension][16], the layout of a weight matrix whose rows
/// are positions; values as [position][padded dimension]. The whole context is reserved at once, but
/// the system gives memory only to the pages that are written, so the cache grows as it fills.
final class KeyValueCache: @unchecked Sendable {
  // Sendable because workers write only the positions and heads that they have claimed.

  let capacity: Int
  let headDimension: Int
  /// A multiple of 16, so that values are read in whole vectors.
  let paddedDimension: Int
  private let headCount: Int
  private let positions: Int
  private let memory: UnsafeMutablePointer<UInt16>

  /// - Throws: `ModelError.outOfMemory`
  init(architecture: Architecture, capacity: Int) throws(ModelError) {
    self.capacity = capacity
    headDimension = architecture.attention.headDimension
    paddedDimension = Self.paddedDimension(architecture)
    headCount = architecture.attention.keyValueHeadCount
    positions = Self.paddedPositions(capacity)
    let bytes = Self.byteCount(architecture: architecture, positions: capacity)
    if bytes == .max {
      throw .outOfMemory(bytes: bytes, purpose: "key/value cache of \(capacity) positions")
    }
    // calloc gives untouched zero pages for a block of this size, not memory.
    guard let memory = calloc(max(1, bytes), 1) else {
      throw .outOfMemory(bytes: bytes, purpose: "key/value cache of \(capacity) positions")
    }
    self.memory = memory.bindMemory(to: UInt16.self, capacity: bytes / 2)
  }

  deinit { free(memory) }

  /// Bytes that `positions` positions take once they are written; `Int.max` where no integer holds
  /// their number.
  static func byteCount(architecture a: Architecture, positions: Int) -> Int {
    let factors = [
      a.attention.keyValueHeadCount, paddedPositions(positions),
      a.attention.headDimension + paddedDimension(a), 2,
    ]
    return factors.reduce(a.layerCount) { product, factor in
      let (next, overflows) = product.multipliedReportingOverflow(by: factor)
      return overflows ? .max : next
    }
  }

  private static func paddedDimension(_ a: Architecture) -> Int {
    (a.attention.headDimension + 15) / 16 * 16
  }

  /// Attention reads whole chunks.
  private static func paddedPositions(_ positions: Int) -> Int {
    let chunk = Int(EMBER_ATTENTION_CHUNK)
    return (positions + chunk - 1) / chunk * chunk
  }

  private func head(_ layer: Int, _ head: Int) -> UnsafeMutablePointer<UInt16> {
    memory + (layer * headCount + head) * positions * (headDimension + paddedDimension)
  }

  func keys(layer: Int, head: Int) -> UnsafePointer<UInt16> {
    UnsafePointer(self.head(layer, head))
  }

  func values(layer: Int, head: Int) -> UnsafePointer<UInt16> {
    UnsafePointer(self.head(layer, head) + positions * headDimension)
  }

  /// Stores key and value of one position, [headDimension] each.
  func store(
    layer: Int, head: Int, position: Int, key: UnsafePointer<Float>, value: UnsafePointer<Float>
  ) {
    let keys = self.head(layer, head) + position / 16 * 16 * headDimension + position % 16
    let values = self.head(layer, head) + positions * headDimension + position * paddedDimension
    for d in 0..<headDimension {
      keys[16 * d] = Half.bits(key[d])
      values[d] = Half.bits(value[d])
    }
  }
}
