import CKernels
import EmberKernels
import Foundation

/// Random keys, values and queries of one key/value head, in half precision or as int8 codes.
struct RandomAttention {
  var dimension: Int
  var heads: Int
  var tokens: Int
  var firstVisible: Int
  var bits: Int
  private(set) var keys: [Float]
  private(set) var values: [Float]
  private(set) var queries: [Float]
  private var keyBytes: [UInt8]
  private var valueBytes: [UInt8]
  private var keyScales: [UInt16] = []
  private var valueScales: [UInt16] = []

  private var padded: Int { (dimension + 15) / 16 * 16 }
  private var blocks: Int { (dimension + 31) / 32 }
  var positions: Int { firstVisible + tokens - 1 }
  var pieces: Int { (positions - 1) / Int(EMBER_ATTENTION_PIECE) + 1 }

  /// - Parameter hidden: what lies behind the visible positions, as halves.
  init(
    dimension: Int, heads: Int, tokens: Int, firstVisible: Int, bits: Int, seed: UInt64,
    hidden: UInt16 = 0
  ) {
    (self.dimension, self.heads, self.tokens) = (dimension, heads, tokens)
    (self.firstVisible, self.bits) = (firstVisible, bits)
    var random = SplitMix(state: seed)
    let visible = firstVisible + tokens - 1
    let room = (visible + 63) / 64 * 64
    let padded = (dimension + 15) / 16 * 16
    let blocks = (dimension + 31) / 32
    queries = (0..<tokens * heads * dimension).map { _ in random.normal() * 2 }
    keys = [Float](repeating: 0, count: visible * dimension)
    values = keys
    if bits == 16 {
      keyBytes = [UInt8](repeating: 0, count: room * dimension * 2)
      valueBytes = [UInt8](repeating: 0, count: room * padded * 2)
    } else {
      keyBytes = [UInt8](repeating: 0, count: room * blocks * 32)
      valueBytes = [UInt8](repeating: 0, count: room * padded)
      keyScales = [UInt16](repeating: hidden, count: room * blocks)
      valueScales = keyScales
    }
    func set(_ bytes: inout [UInt8], _ at: Int, _ half: UInt16) {
      bytes[2 * at] = UInt8(truncatingIfNeeded: half)
      bytes[2 * at + 1] = UInt8(truncatingIfNeeded: half >> 8)
    }
    for p in 0..<room {
      for d in 0..<dimension {
        let keyAt = (p / 16 * dimension + d) * 16 + p % 16
        guard p < visible else {
          guard bits == 16 else { continue }
          set(&keyBytes, keyAt, hidden)
          set(&valueBytes, p * padded + d, hidden)
          continue
        }
        if bits == 16 {
          let (key, value) = (Half.bits(random.normal()), Half.bits(random.normal()))
          set(&keyBytes, keyAt, key)
          set(&valueBytes, p * padded + d, value)
          keys[p * dimension + d] = Half.value(key)
          values[p * dimension + d] = Half.value(value)
        } else {
          let block = (p / 16 * blocks + d / 32)
          let scaleAt = 16 * block + p % 16
          if d % 32 == 0 {
            keyScales[scaleAt] = Half.bits(0.01 + 0.01 * abs(random.normal()))
            valueScales[scaleAt] = Half.bits(0.01 + 0.01 * abs(random.normal()))
          }
          let key = Int8(Int(random.next() % 255) - 127)
          let value = Int8(Int(random.next() % 255) - 127)
          keyBytes[512 * block + 64 * (d % 32 / 4) + 4 * (p % 16) + d % 4] =
            UInt8(bitPattern: key) ^ 0x80
          valueBytes[p * padded + d] = UInt8(bitPattern: value)
          keys[p * dimension + d] = Float(key) * Half.value(keyScales[scaleAt])
          values[p * dimension + d] = Float(value) * Half.value(valueScales[scaleAt])
        }
      }
    }
  }

  /// The outputs [tokens][heads][dimension].
  ///
  /// - Parameters:
  ///   - token: this one alone.
  ///   - byPieces: whether the pieces of positions are computed apart and then joined.
  func outputs(_ kernels: Kernels, token: Int? = nil, byPieces: Bool = false) -> [Float] {
    let tokenCount = token == nil ? tokens : 1
    let count = tokenCount * heads
    let stride = padded + 16
    let first = (token ?? 0) * heads * dimension
    let pieces = (firstVisible + (token ?? tokens - 1) - 1) / Int(EMBER_ATTENTION_PIECE) + 1
    var codes = [Int8](repeating: 0, count: count * blocks * 32)
    var scales = [Float](repeating: 0, count: count * blocks)
    var sums = [Int32](repeating: 0, count: count * blocks)
    var output = [Float](repeating: 0, count: count * dimension)
    var states = [Float](repeating: .nan, count: pieces * count * stride)
    var scratch = [Float](repeating: .nan, count: count * stride)
    queries.withUnsafeBufferPointer { queries in
      guard let start = queries.baseAddress.map({ $0 + first }) else { return }
      for i in 0..<count {
        codes.withUnsafeMutableBufferPointer { codes in
          scales.withUnsafeMutableBufferPointer { scales in
            sums.withUnsafeMutableBufferPointer { sums in
              guard let codes = codes.baseAddress, let scales = scales.baseAddress,
                let sums = sums.baseAddress
              else { return }
              kernels.table.quantize_query(
                start + i * dimension, dimension, codes + 32 * i * blocks, scales + i * blocks,
                sums + i * blocks)
            }
          }
        }
      }
      withPointers(&states, &scratch, &output, codes, scales, sums) { work, states, output in
        work.queries = start
        work.tokens = tokenCount
        work.first_visible = firstVisible + (token ?? 0)
        let runs = byPieces ? pieces : 1
        for run in 0..<runs {
          work.states = states + run * count * stride
          let attend = bits == 16 ? kernels.table.attend : kernels.table.attend_q8
          attend?(&work, run, byPieces ? 1 : pieces)
        }
        for i in 0..<count {
          kernels.table.join_attention(
            states + i * stride, runs, count * stride, dimension, padded, output + i * dimension)
        }
      }
    }
    return output
  }

  private func withPointers(
    _ states: inout [Float], _ scratch: inout [Float], _ output: inout [Float], _ codes: [Int8],
    _ scales: [Float], _ sums: [Int32],
    _ body: (inout ember_attention, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>) -> Void
  ) {
    var work = ember_attention()
    work.heads = heads
    work.dimension = dimension
    work.padded_dimension = padded
    work.query_stride = heads * dimension
    work.query_blocks = heads * blocks
    keyBytes.withUnsafeBytes { keys in
      valueBytes.withUnsafeBytes { values in
        keyScales.withUnsafeBufferPointer { keyScales in
          valueScales.withUnsafeBufferPointer { valueScales in
            codes.withUnsafeBufferPointer { codes in
              scales.withUnsafeBufferPointer { scales in
                sums.withUnsafeBufferPointer { sums in
                  states.withUnsafeMutableBufferPointer { states in
                    scratch.withUnsafeMutableBufferPointer { scratch in
                      output.withUnsafeMutableBufferPointer { output in
                        work.keys = keys.baseAddress
                        work.values = values.baseAddress
                        work.key_scales = keyScales.baseAddress
                        work.value_scales = valueScales.baseAddress
                        work.query_codes = codes.baseAddress
                        work.query_scales = scales.baseAddress
                        work.query_sums = sums.baseAddress
                        work.scratch = scratch.baseAddress
                        guard let states = states.baseAddress, let output = output.baseAddress
                        else { return }
                        body(&work, states, output)
                      }
                    }
                  }
                }
              }
            }
          }
        }
      }
    }
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
