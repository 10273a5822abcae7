import CKernels

/// Matrix products on Swift's own vector types: sixteen rows at once, any processor.
enum PortableMultiply {
  static func multiplyQ4(
    _ m: ember_matrix, _ x: ember_token_tile, _ y: ember_output, groups: Range<Int>
  ) {
    multiply(m, x, y, groups: groups, tileBytes: 576, blockBytes: 256) { block, codes in
      var sum = SIMD16<Int32>(repeating: 0)
      for j in 0..<4 {
        let packed = block.loadUnaligned(fromByteOffset: 64 * j, as: SIMD16<UInt32>.self)
        for i in 0..<4 {
          let bytes = packed &>> UInt32(8 * i)
          let low = SIMD16<Int32>(truncatingIfNeeded: bytes & 15)
          let high = SIMD16<Int32>(truncatingIfNeeded: (bytes &>> 4) & 15)
          sum &+= low &* Int32(codes[4 * j + i]) &+ high &* Int32(codes[16 + 4 * j + i])
        }
      }
      return sum
    } zero: {
      8
    }
  }

  static func multiplyQ8(
    _ m: ember_matrix, _ x: ember_token_tile, _ y: ember_output, groups: Range<Int>
  ) {
    multiply(m, x, y, groups: groups, tileBytes: 1088, blockBytes: 512) { block, codes in
      var sum = SIMD16<Int32>(repeating: 0)
      for j in 0..<8 {
        let packed = block.loadUnaligned(fromByteOffset: 64 * j, as: SIMD16<UInt32>.self)
        for i in 0..<4 {
          let weights = SIMD16<Int32>(truncatingIfNeeded: (packed &>> UInt32(8 * i)) & 255)
          sum &+= weights &* Int32(codes[4 * j + i])
        }
      }
      return sum
    } zero: {
      128
    }
  }

  /// One row group after another; `dot` gives the sixteen sums code · activation of a block.
  @inline(__always)
  private static func multiply(
    _ m: ember_matrix, _ x: ember_token_tile, _ y: ember_output, groups: Range<Int>,
    tileBytes: Int, blockBytes: Int,
    dot: (UnsafeRawPointer, UnsafePointer<Int8>) -> SIMD16<Int32>, zero: () -> Int32
  ) {
    guard let data = m.data, let codes = x.codes, let scales = x.scales, let sums = x.sums,
      let values = x.values
    else { return }
    for group in groups {
      let base = UnsafeRawPointer(data) + group * m.group_stride
      for token in 0..<x.tokens {
        var sum = SIMD16<Float>(repeating: 0)
        func add(
          _ block: Int, _ codes: UnsafePointer<Int8>, _ scales: UnsafePointer<Float>,
          _ sums: UnsafePointer<Int32>
        ) {
          let tile = base + block / 2 * tileBytes
          let at = block * x.tokens + token
          let products =
            dot(tile + 64 + block % 2 * blockBytes, codes + 32 * at) &- (zero() &* sums[at])
          let scale = halves(tile + 32 * (block % 2)) * scales[at]
          sum = fma(SIMD16<Float>(products), scale, sum)
        }
        for block in 0..<x.columns / 32 { add(block, codes, scales, sums) }
        for listed in 0..<x.residual_block_count {
          let block = Int(x.residual_blocks[listed])
          if x.residual_scales[block * x.tokens + token] == 0 { continue }
          add(block, x.residual_codes, x.residual_scales, x.residual_sums)
        }
        let steps = base + m.column_tiles * tileBytes
        sum = addOutliers(steps, m.outlier_steps, values + token * x.columns, to: sum)
        store(sum, m, y, group: group, token: token)
      }
    }
  }

  static func multiplyHalves(
    _ m: ember_matrix, _ x: ember_token_tile, _ y: ember_output, groups: Range<Int>
  ) {
    guard let data = m.data else { return }
    for group in groups {
      let base = UnsafeRawPointer(data) + group * m.group_stride
      for token in 0..<x.tokens {
        let values = x.values + token * x.columns
        var sum = SIMD16<Float>(repeating: 0)
        for c in 0..<x.columns {
          sum = fma(halves(base + 32 * c), SIMD16(repeating: values[c]), sum)
        }
        store(sum, m, y, group: group, token: token)
      }
    }
  }

  static func addOutliers(
    _ steps: UnsafeRawPointer, _ count: Int, _ values: UnsafePointer<Float>, to sum: SIMD16<Float>
  ) -> SIMD16<Float> {
    var sum = sum
    for step in 0..<count {
      let columns = (steps + 64 * step).loadUnaligned(as: SIMD16<UInt16>.self)
      var inputs = SIMD16<Float>()
      for lane in 0..<16 { inputs[lane] = values[Int(columns[lane])] }
      sum = fma(halves(steps + 64 * step + 32), inputs, sum)
    }
    return sum
  }

  static func fma(
    _ a: SIMD16<Float>, _ b: SIMD16<Float>, _ c: SIMD16<Float>
  ) -> SIMD16<Float> {
    c.addingProduct(a, b)
  }

  private static func halves(_ p: UnsafeRawPointer) -> SIMD16<Float> {
    let bits = p.loadUnaligned(as: SIMD16<UInt16>.self)
    var values = SIMD16<Float>()
    for lane in 0..<16 { values[lane] = Half.value(bits[lane]) }
    return values
  }

  static func store(
    _ sum: SIMD16<Float>, _ m: ember_matrix, _ y: ember_output, group: Int, token: Int
  ) {
    for lane in 0..<min(16, m.rows - 16 * group) {
      ScalarMultiply.store(sum[lane], y, row: 16 * group + lane, token: token)
    }
  }
}
