import CKernels

/// Activation quantization, one value at a time.
enum ScalarQuantize {
  /// Codes of a tile of tokens; returns the number of blocks with residual codes.
  static func quantize(
    _ values: UnsafePointer<Float>, tokens: Int, columns: Int, into storage: ember_tile_storage
  ) -> Int {
    var listed = 0
    for block in 0..<columns / 32 {
      var any = false
      for token in 0..<tokens {
        let at = block * tokens + token
        var x = (0..<32).map { values[token * columns + 32 * block + $0] }
        let first = encode(x)
        store(first.codes, storage.codes + 32 * at)
        storage.scales[at] = first.scale
        storage.sums[at] = first.sum
        store(first.halfSums, storage.half_sums + 2 * at)
        storage.residual_scales[at] = 0
        if first.small < 16 { continue }
        for i in 0..<32 { x[i] = ScalarMath.fma(-first.scale, Float(first.codes[i]), x[i]) }
        let second = encode(x)
        store(second.codes, storage.residual_codes + 32 * at)
        storage.residual_scales[at] = second.scale
        storage.residual_sums[at] = second.sum
        store(second.halfSums, storage.residual_half_sums + 2 * at)
        if second.scale != 0 { any = true }
      }
      if any {
        storage.residual_blocks[listed] = UInt32(block)
        listed += 1
      }
    }
    return listed
  }

  /// Codes of one query of attention; the last block is filled up with zeros.
  static func quantizeQuery(
    _ query: UnsafePointer<Float>, dimension: Int, _ codes: UnsafeMutablePointer<Int8>,
    _ scales: UnsafeMutablePointer<Float>, _ sums: UnsafeMutablePointer<Int32>
  ) {
    for block in 0..<(dimension + 31) / 32 {
      let encoded = encode((32 * block..<32 * block + 32).map { $0 < dimension ? query[$0] : 0 })
      store(encoded.codes, codes + 32 * block)
      scales[block] = encoded.scale
      sums[block] = encoded.sum
    }
  }

  /// The codes of a block of 32 values.
  private struct Block {
    var codes = [Int8](repeating: 0, count: 32)
    var scale: Float
    /// How many codes lie in −4 ... 4; 0 where there is nothing to refine.
    var small = 0

    var halfSums: [Int16] {
      [codes[..<16], codes[16...]].map { $0.reduce(0) { $0 + Int16($1) } }
    }
    var sum: Int32 { halfSums.reduce(0) { $0 + Int32($1) } }
  }

  private static func encode(_ x: [Float]) -> Block {
    guard x.allSatisfy(\.isFinite) else { return Block(scale: .nan) }
    let largest = x.reduce(0) { max($0, abs($1)) }
    guard largest > 1e-30 else { return Block(scale: 0) }
    let inverse = 127 / largest
    let codes = x.map { Int8(($0 * inverse).rounded(.toNearestOrEven)) }
    return Block(
      codes: codes, scale: largest / 127, small: codes.filter { abs(Int($0)) <= 4 }.count)
  }

  private static func store<Code>(_ codes: [Code], _ target: UnsafeMutablePointer<Code>) {
    for i in codes.indices { target[i] = codes[i] }
  }
}
