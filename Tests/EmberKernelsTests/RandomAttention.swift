import CKernels
import EmberKernels
import Foundation

/// Random keys, values and queries of one key/value head, in half precision or as codes.
final class RandomAttention {
  /// What keys and values are stored as.
  enum Storage: CaseIterable {
    case halves, q8, q8q4, q4

    var valuesAreFourBits: Bool { self == .q8q4 || self == .q4 }
  }

  /// What an architecture may ask for beside causal attention.
  struct Options {
    var seesAll = false
    var window = 0
    var softCap: Float = 0
    /// Where the first token stands among the positions that the bias speaks of; nil: no bias.
    var biasFrom: Int?
  }

  /// How the pieces of positions are computed.
  enum Division: CaseIterable {
    case allAtOnce
    /// Those before the first token's window left out.
    case withoutHidden
    /// Each apart, then all joined.
    case pieceByPiece
    /// All but the last, then the last.
    case twoRuns
  }

  let dimension: Int
  let heads: Int
  let tokens: Int
  let firstVisible: Int
  let storage: Storage
  let options: Options
  /// [position][dimension], as they are stored.
  private var keys: [Float]
  private var values: [Float]
  /// [token][head][dimension]
  private let queries: UnsafeMutablePointer<Float>
  private let keyBytes: UnsafeMutableRawPointer
  private let valueBytes: UnsafeMutableRawPointer
  private let keyScales: UnsafeMutablePointer<UInt16>
  private let valueScales: UnsafeMutablePointer<UInt16>
  /// [head][distance], of all distances between the tokens and what they see, from `nearest` on.
  private var bias: [Float] = []
  private var nearest = 0
  private var distances = 0

  private var padded: Int { (dimension + 15) / 16 * 16 }
  private var blocks: Int { (dimension + 31) / 32 }

  /// - Parameter hidden: what lies behind the visible positions, as halves, and before the first
  ///   token's window; nil: zeros behind them, keys and values like all others before it.
  init(
    dimension: Int, heads: Int, tokens: Int, firstVisible: Int, storage: Storage, seed: UInt64,
    hidden: UInt16? = nil, options: Options = Options()
  ) {
    (self.dimension, self.heads, self.tokens) = (dimension, heads, tokens)
    (self.firstVisible, self.storage, self.options) = (firstVisible, storage, options)
    let visible = options.seesAll ? firstVisible : firstVisible + tokens - 1
    let filled = hidden == nil || options.window == 0 ? 0 : max(0, firstVisible - options.window)
    let hidden = hidden ?? 0
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
    if let first = options.biasFrom {
      nearest = first - firstVisible + 1
      distances = first + tokens - nearest
      bias = (0..<heads * distances).map { _ in 2 * random.normal() }
    }
    for p in filled..<visible {
      // Each position has its own numbers, whether those before it are there or not.
      var random = SplitMix(state: seed &* 1_000_003 &+ UInt64(p))
      if storage == .halves { fillHalves(p, &random) } else { fillCodes(p, &random) }
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
      let keyRange: ClosedRange<Int8> = storage == .q4 ? -8...7 : -127...127
      let valueRange: ClosedRange<Int8> = storage.valuesAreFourBits ? -8...7 : -127...127
      let key = Int8.random(in: keyRange, using: &random)
      let value = Int8.random(in: valueRange, using: &random)
      if storage == .q4 {
        let at = 256 * group + 64 * (d % 16 / 4) + 4 * (p % 16) + d % 4
        Self.setNibble(keyBytes, at, upper: d % 32 >= 16, key)
      } else {
        let at = 512 * group + 64 * (d % 32 / 4) + 4 * (p % 16) + d % 4
        keyBytes.assumingMemoryBound(to: UInt8.self)[at] = UInt8(bitPattern: key) ^ 0x80
      }
      if storage.valuesAreFourBits {
        let at = 16 * (p * blocks + d / 32) + d % 16
        Self.setNibble(valueBytes, at, upper: d % 32 >= 16, value)
      } else {
        valueBytes.assumingMemoryBound(to: Int8.self)[p * padded + d] = value
      }
      keys[p * dimension + d] = Float(key) * Half.value(keyScales[scale])
      values[p * dimension + d] = Float(value) * Half.value(valueScales[scale])
    }
  }

  private static func setNibble(
    _ bytes: UnsafeMutableRawPointer, _ at: Int, upper: Bool, _ code: Int8
  ) {
    let place = bytes.assumingMemoryBound(to: UInt8.self) + at
    let nibble = UInt8(code + 8)
    place.pointee = upper ? place.pointee & 0x0F | nibble << 4 : place.pointee & 0xF0 | nibble
  }

  private func attend(
    _ kernels: Kernels, _ work: inout ember_attention, _ first: Int, _ count: Int
  ) {
    switch storage {
    case .halves: kernels.table.attend(&work, first, count)
    case .q8: kernels.table.attend_q8(&work, first, count)
    case .q8q4: kernels.table.attend_q8q4(&work, first, count)
    case .q4: kernels.table.attend_q4(&work, first, count)
    }
  }

  /// The outputs [tokens][heads][dimension].
  ///
  /// - Parameter token: this one alone.
  func outputs(
    _ kernels: Kernels, token: Int? = nil, _ division: Division = .allAtOnce
  ) -> [Float] {
    let first = token ?? 0
    let count = (token == nil ? tokens : 1) * heads
    let stride = padded + 16
    let lastVisible = options.seesAll ? firstVisible : firstVisible + (token ?? tokens - 1)
    let pieces = (lastVisible - 1) / Int(EMBER_ATTENTION_PIECE) + 1
    let runs = runs(division, pieces: pieces, firstVisible: firstVisible + first)
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
    work.first_visible = firstVisible + (options.seesAll ? 0 : first)
    work.sees_all = options.seesAll ? 1 : 0
    work.window = options.window
    work.soft_cap = options.softCap
    work.first_position = (options.biasFrom ?? 0) + first
    work.bias_stride = distances
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
    bias.withUnsafeBufferPointer { bias in
      if options.biasFrom != nil { work.bias = bias.baseAddress.map { $0 - nearest } }
      for (i, run) in runs.enumerated() {
        work.states = states + i * count * stride
        attend(kernels, &work, run.lowerBound, run.count)
      }
    }
    var output = [Float](repeating: 0, count: count * dimension)
    output.withUnsafeMutableBufferPointer { output in
      for i in 0..<count {
        kernels.table.join_attention(
          states + i * stride, runs.count, count * stride, dimension, padded,
          output.baseAddress.map { $0 + i * dimension })
      }
    }
    return output
  }

  /// The runs of pieces whose states are joined.
  private func runs(_ division: Division, pieces: Int, firstVisible: Int) -> [Range<Int>] {
    switch division {
    case .allAtOnce: return [0..<pieces]
    case .withoutHidden:
      let hidden = options.window > 0 ? max(0, firstVisible - options.window) : 0
      return [hidden / Int(EMBER_ATTENTION_PIECE)..<pieces]
    case .pieceByPiece: return (0..<pieces).map { $0..<$0 + 1 }
    case .twoRuns: return [0..<pieces - 1, pieces - 1..<pieces].filter { !$0.isEmpty }
    }
  }

  /// One query as it is multiplied with the keys: rounded to int8 where these are codes.
  private func query(_ q: Int) -> [Float] {
    let floats = (0..<dimension).map { queries[q * dimension + $0] }
    if storage == .halves { return floats }
    var codes = [Int8](repeating: 0, count: 32 * blocks)
    var scales = [Float](repeating: 0, count: blocks)
    var sums = [Int32](repeating: 0, count: blocks)
    Kernels.scalar.table.quantize_query(floats, dimension, &codes, &scales, &sums)
    return floats.indices.map { Float(codes[$0]) * scales[$0 / 32] }
  }

  /// What attention is, in double precision, on the queries, keys and values as they are stored.
  var exact: [Double] {
    (0..<tokens * heads).flatMap { q -> [Double] in
      let token = q / heads
      let end = options.seesAll ? firstVisible : firstVisible + token
      let visible = (options.window > 0 ? max(0, end - options.window) : 0)..<end
      let query = self.query(q)
      let scores = visible.map { p in
        var score = (0..<dimension).reduce(0.0) {
          $0 + Double(keys[p * dimension + $1]) * Double(query[$1])
        }
        let cap = Double(options.softCap)
        if cap != 0 { score = cap * tanh(score / cap) }
        guard let first = options.biasFrom else { return score }
        return score + Double(bias[q % heads * distances + first + token - p - nearest])
      }
      let top = scores.max() ?? 0
      let weights = scores.map { exp($0 - top) }
      let total = weights.reduce(0, +)
      return (0..<dimension).map { d in
        zip(visible, weights).reduce(0.0) {
          $0 + $1.1 * Double(values[$1.0 * dimension + d])
        } / total
      }
    }
  }
}
