import CKernels
import EmberKernels
import Foundation

/// Random keys, values and queries of one key/value head, in half precision or as int8 codes.
final class RandomAttention {
  let dimension: Int
  let heads: Int
  let tokens: Int
  let firstVisible: Int
  let bits: Int
  /// [position][dimension], as they are stored.
  private var keys: [Float]
  private var values: [Float]
  /// [token][head][dimension]
  private let queries: UnsafeMutablePointer<Float>
  private let keyBytes: UnsafeMutableRawPointer
  private let valueBytes: UnsafeMutableRawPointer
  private let keyScales: UnsafeMutablePointer<UInt16>
  private let valueScales: UnsafeMutablePointer<UInt16>

  private var padded: Int { (dimension + 15) / 16 * 16 }
  private var blocks: Int { (dimension + 31) / 32 }

  /// - Parameter hidden: what lies behind the visible positions, as halves.
  init(
    dimension: Int, heads: Int, tokens: Int, firstVisible: Int, bits: Int, seed: UInt64,
    hidden: UInt16 = 0
  ) {
    (self.dimension, self.heads, self.tokens) = (dimension, heads, tokens)
    (self.firstVisible, self.bits) = (firstVisible, bits)
    let visible = firstVisible + tokens - 1
    let room = (visible + 63) / 64 * 64
    // For every position, as many numbers as its padded head has, of two bytes each.
    let numbers = room * (dimension + 31)
    keyBytes = .allocate(byteCount: 2 * numbers, alignment: 64)
    valueBytes = .allocate(byteCount: 2 * numbers, alignment: 64)
    keyScales = .aligned(numbers)
    valueScales = .aligned(numbers)
    queries = .aligned(tokens * heads * dimension)
    keys = [Float](repeating: 0, count: visible * dimension)
    values = keys
    keyBytes.initializeMemory(as: UInt16.self, repeating: hidden, count: numbers)
    valueBytes.initializeMemory(as: UInt16.self, repeating: hidden, count: numbers)
    keyScales.initialize(repeating: hidden, count: numbers)
    valueScales.initialize(repeating: hidden, count: numbers)
    var random = SplitMix(state: seed)
    for i in 0..<tokens * heads * dimension { queries[i] = random.normal() * 2 }
    for p in 0..<visible {
      if bits == 16 { fillHalves(p, &random) } else { fillCodes(p, &random) }
    }
  }

  deinit {
    keyBytes.deallocate()
    valueBytes.deallocate()
    keyScales.deallocate()
    valueScales.deallocate()
    queries.deallocate()
  }

  private func fillHalves(_ p: Int, _ random: inout SplitMix) {
    let stored = valueBytes.assumingMemoryBound(to: UInt16.self) + p * padded
    for d in 0..<dimension {
      let (key, value) = (Half.bits(random.normal()), Half.bits(random.normal()))
      let at = (p / 16 * dimension + d) * 16 + p % 16
      keyBytes.assumingMemoryBound(to: UInt16.self)[at] = key
      stored[d] = value
      keys[p * dimension + d] = Half.value(key)
      values[p * dimension + d] = Half.value(value)
    }
    for d in dimension..<padded { stored[d] = 0 }
  }

  private func fillCodes(_ p: Int, _ random: inout SplitMix) {
    for d in 0..<dimension {
      let group = p / 16 * blocks + d / 32
      let scale = 16 * group + p % 16
      if d % 32 == 0 {
        keyScales[scale] = Half.bits(0.01 + 0.01 * abs(random.normal()))
        valueScales[scale] = Half.bits(0.01 + 0.01 * abs(random.normal()))
      }
      let key = Int8.random(in: -127...127, using: &random)
      let value = Int8.random(in: -127...127, using: &random)
      let at = 512 * group + 64 * (d % 32 / 4) + 4 * (p % 16) + d % 4
      keyBytes.assumingMemoryBound(to: UInt8.self)[at] = UInt8(bitPattern: key) ^ 0x80
      valueBytes.assumingMemoryBound(to: Int8.self)[p * padded + d] = value
      keys[p * dimension + d] = Float(key) * Half.value(keyScales[scale])
      values[p * dimension + d] = Float(value) * Half.value(valueScales[scale])
    }
  }

  /// The outputs [tokens][heads][dimension].
  ///
  /// - Parameters:
  ///   - token: this one alone.
  ///   - byPieces: whether the pieces of positions are computed apart and then joined.
  func outputs(_ kernels: Kernels, token: Int? = nil, byPieces: Bool = false) -> [Float] {
    let first = token ?? 0
    let count = (token == nil ? tokens : 1) * heads
    let stride = padded + 16
    let lastVisible = firstVisible + (token ?? tokens - 1)
    let pieces = (lastVisible - 1) / Int(EMBER_ATTENTION_PIECE) + 1
    let codes = UnsafeMutablePointer<Int8>.aligned(count * blocks * 32)
    let scales = UnsafeMutablePointer<Float>.aligned(count * blocks)
    let sums = UnsafeMutablePointer<Int32>.aligned(count * blocks)
    let states = UnsafeMutablePointer<Float>.aligned((pieces + 1) * count * stride)
    defer {
      codes.deallocate()
      scales.deallocate()
      sums.deallocate()
      states.deallocate()
    }
    let start = queries + first * heads * dimension
    for i in 0..<count {
      kernels.table.quantize_query(
        start + i * dimension, dimension, codes + 32 * i * blocks, scales + i * blocks,
        sums + i * blocks)
    }
    var work = ember_attention()
    work.tokens = count / heads
    work.heads = heads
    work.first_visible = firstVisible + first
    work.dimension = dimension
    work.padded_dimension = padded
    work.keys = UnsafeRawPointer(keyBytes)
    work.values = UnsafeRawPointer(valueBytes)
    work.key_scales = UnsafePointer(keyScales)
    work.value_scales = UnsafePointer(valueScales)
    work.queries = UnsafePointer(start)
    work.query_stride = heads * dimension
    work.query_codes = UnsafePointer(codes)
    work.query_scales = UnsafePointer(scales)
    work.query_sums = UnsafePointer(sums)
    work.query_blocks = heads * blocks
    work.scratch = states + pieces * count * stride
    let runs = byPieces ? pieces : 1
    for run in 0..<runs {
      work.states = states + run * count * stride
      let attend = bits == 16 ? kernels.table.attend : kernels.table.attend_q8
      attend?(&work, run, byPieces ? 1 : pieces)
    }
    var output = [Float](repeating: 0, count: count * dimension)
    output.withUnsafeMutableBufferPointer { output in
      for i in 0..<count {
        kernels.table.join_attention(
          states + i * stride, runs, count * stride, dimension, padded,
          output.baseAddress.map { $0 + i * dimension })
      }
    }
    return output
  }

  /// What attention is, in double precision, on the keys and values as they are stored; the
  /// queries' own rounding to int8 is not in it.
  var exact: [Double] {
    (0..<tokens * heads).flatMap { q -> [Double] in
      let visible = firstVisible + q / heads
      let scores = (0..<visible).map { p in
        (0..<dimension).reduce(0.0) {
          $0 + Double(keys[p * dimension + $1]) * Double(queries[q * dimension + $1])
        }
      }
      let top = scores.max() ?? 0
      let weights = scores.map { exp($0 - top) }
      let total = weights.reduce(0, +)
      return (0..<dimension).map { d in
        (0..<visible).reduce(0.0) { $0 + weights[$1] * Double(values[$1 * dimension + d]) } / total
      }
    }
  }
}
