import CKernels

/// The scalar reference as a table of C functions.
let scalarTable = ember_kernels(
  quantize: { values, tokens, columns, storage in
    guard let values else { return 0 }
    return ScalarQuantize.quantize(values, tokens: tokens, columns: columns, into: storage)
  },
  transpose: { values, tokens, columns, transposed in
    guard let values, let transposed else { return }
    for column in 0..<columns {
      for lane in 0..<16 {
        transposed[16 * column + lane] = lane < tokens ? values[lane * columns + column] : 0
      }
    }
  },
  encode: { weights, importance, blocks, grid, codes, scales, errors in
    guard let weights, let importance, let grid = grid?.pointee, let codes, let scales, let errors
    else { return }
    for block in 0..<blocks {
      ScalarEncode.encode(
        weights + 32 * block, importance + 32 * block, grid, codes + 32 * block, scales + block,
        errors + block)
    }
  },
  search_groups: { weights, importance, groups, levels, scales in
    guard let weights, let importance, let levels = levels?.pointee, let scales else { return }
    for group in 0..<groups {
      scales[group] = ScalarGroups.scale(weights + 16 * group, importance + 16 * group, levels)
    }
  },
  round_groups: { weights, importance, groups, levels, scales, codes, errors in
    guard let weights, let importance, let levels = levels?.pointee, let scales, let codes,
      let errors
    else { return }
    for group in 0..<groups {
      errors[group] = ScalarGroups.round(
        weights + 16 * group, importance + 16 * group, levels, scale: scales[group],
        codes + 16 * group)
    }
  },
  multiply_q4: { m, x, y, first, count in
    guard let x = x?.pointee else { return }
    ScalarMultiply.multiplyBlocks(ScalarMultiply.q4, m, x, y, groups: first..<first + count)
  },
  multiply_q8: { m, x, y, first, count in
    guard let x = x?.pointee else { return }
    ScalarMultiply.multiplyBlocks(ScalarMultiply.q8, m, x, y, groups: first..<first + count)
  },
  multiply_q4n: { m, x, y, first, count in
    guard let x = x?.pointee else { return }
    ScalarMultiply.multiplyTwoLevel(.q4n, m, x, y, groups: first..<first + count)
  },
  multiply_q5: { m, x, y, first, count in
    guard let x = x?.pointee else { return }
    ScalarMultiply.multiplyTwoLevel(.q5, m, x, y, groups: first..<first + count)
  },
  multiply_q6: { m, x, y, first, count in
    guard let x = x?.pointee else { return }
    ScalarMultiply.multiplyTwoLevel(.q6, m, x, y, groups: first..<first + count)
  },
  multiply_f16: { m, x, y, first, count in
    guard let x = x?.pointee else { return }
    ScalarMultiply.multiplyHalves(m, x, y, groups: first..<first + count)
  },
  quantize_query: { query, dimension, codes, scales, sums in
    guard let query, let codes, let scales, let sums else { return }
    ScalarQuantize.quantizeQuery(query, dimension: dimension, codes, scales, sums)
  },
  attend: { a, first, count in
    guard let a = a?.pointee else { return }
    ScalarAttention.attend(a, pieces: first..<first + count, ScalarAttention.halves)
  },
  attend_q8: { a, first, count in
    guard let a = a?.pointee else { return }
    ScalarAttention.attend(a, pieces: first..<first + count, ScalarAttention.q8)
  },
  attend_q8q4: { a, first, count in
    guard let a = a?.pointee else { return }
    ScalarAttention.attend(a, pieces: first..<first + count, ScalarAttention.q8q4)
  },
  attend_q4: { a, first, count in
    guard let a = a?.pointee else { return }
    ScalarAttention.attend(a, pieces: first..<first + count, ScalarAttention.q4)
  },
  join_attention: { states, count, stride, dimension, paddedDimension, output in
    guard let states, let output else { return }
    ScalarAttention.join(
      states, count, stride: stride, dimension: dimension, paddedDimension: paddedDimension,
      output)
  },
  rms_norm: { x, gain, epsilon, n, out in
    guard let x, let gain, let out else { return }
    ScalarElements.rmsNorm(x, gain, epsilon, n, out)
  },
  layer_norm: { x, gain, bias, epsilon, n, out in
    guard let x, let gain, let out else { return }
    ScalarElements.layerNorm(x, gain, bias, epsilon, n, out)
  },
  silu: { x, n in
    guard let x else { return }
    ScalarElements.silu(x, n)
  },
  gelu_tanh: { x, n in
    guard let x else { return }
    ScalarElements.geluTanh(x, n)
  },
  gelu: { x, n in
    guard let x else { return }
    ScalarElements.gelu(x, n)
  },
  relu: { x, n in
    guard let x else { return }
    ScalarElements.relu(x, n)
  },
  soft_cap: { x, cap, n in
    guard let x else { return }
    ScalarElements.softCap(x, cap, n)
  },
  multiply_elements: { x, y, n in
    guard let x, let y else { return }
    for i in 0..<n { x[i] *= y[i] }
  },
  add_elements: { x, y, n in
    guard let x, let y else { return }
    for i in 0..<n { x[i] += y[i] }
  },
  rotate: { x, turn, pairs, halves in
    guard let x, let turn else { return }
    ScalarElements.rotate(x, by: turn, pairs: pairs, halves: halves != 0)
  },
  exponentials: { x, maximum, n in
    guard let x else { return 0 }
    return ScalarElements.exponentials(x, maximum, n)
  },
  maximum: { x, n in
    guard let x else { return -.infinity }
    return ScalarElements.maximum(x, n)
  },
  extremes: { x, n, lowest, highest in
    guard let x, let lowest, let highest else { return 0 }
    let found = ScalarSelection.extremes(x, n)
    (lowest.pointee, highest.pointee) = (found.0, found.1)
    return found.allBelow ? 1 : 0
  },
  select_keys: { x, ids, first, n, lowest, highest, keptIDs, kept in
    guard let x, let keptIDs, let kept else { return 0 }
    return ScalarSelection.select(
      x, ids, first: first, n, lowest: lowest, highest: highest, keptIDs, kept)
  },
  drop_below: { weights, x, limit, n in
    guard let weights, let x else { return }
    for i in 0..<n where !(x[i] >= limit) { weights[i] = 0 }
  },
  sum_units: { weights, n in
    guard let weights else { return 0 }
    var sum: UInt64 = 0
    for i in 0..<n { sum &+= ScalarSelection.units(weights[i]) }
    return sum
  },
  count_keys: { x, weights, n, lowest, shift, bins in
    guard let x, let bins else { return }
    ScalarSelection.count(x, weights, n, lowest: lowest, shift: shift, bins)
  }
)
