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
        storage.residual_scales[at] = 0
        if first.small < 16 { continue }
        for i in 0..<32 { x[i] = ScalarMath.fma(-first.scale, Float(first.codes[i]), x[i]) }
        let second = encode(x)
        store(second.codes, storage.residual_codes + 32 * at)
        storage.residual_scales[at] = second.scale
        storage.residual_sums[at] = second.sum
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

  private static func encode(
    _ x: [Float]
  ) -> (codes: [Int8], scale: Float, sum: Int32, small: Int) {
    let zeros = [Int8](repeating: 0, count: 32)
    guard x.allSatisfy(\.isFinite) else { return (zeros, .nan, 0, 0) }
    let largest = x.reduce(0) { max($0, abs($1)) }
    guard largest > 1e-30 else { return (zeros, 0, 0, 0) }
    let inverse = 127 / largest
    let codes = x.map { Int8(($0 * inverse).rounded(.toNearestOrEven)) }
    let sum = codes.reduce(Int32(0)) { $0 + Int32($1) }
    return (codes, largest / 127, sum, codes.filter { abs(Int($0)) <= 4 }.count)
  }

  private static func store(_ codes: [Int8], _ target: UnsafeMutablePointer<Int8>) {
    for i in 0..<32 { target[i] = codes[i] }
  }
}
