// Products of the types with two levels of scales (q4n, q5, q6): what is the same on every
// instruction set. A block's integers, scales of 16 columns included, stay below 2^24 in size
// (2 · 127 · 16 · 32 · 127), so that they are exact as floats too.

// The dense part of `streams` neighbouring row groups for a single token, without the row scales.
INLINE void dense_two_level_one(two_level type, const uint8_t *w, size_t stride, int streams,
                                const ember_token_tile *x, size_t tiles, v16f *acc) {
  for (int s = 0; s < streams; s++) acc[s] = 0;
  for (size_t b = 0; b < 2 * tiles; b += 2, w += two_level_tile(type)) {
    UNROLL
    for (int h = 0; h < 2; h++) {
      const int16_t *sums = x->half_sums + 2 * (b + h);
      add_two_level_block(type, w, stride, streams, h, x->codes + 32 * (b + h), sums,
                          x->scales[b + h], acc);
    }
  }
}

// The same of one row group for up to 16 tokens: a tile's weights are expanded once for all of
// them.
INLINE void dense_two_level_tile(two_level type, const uint8_t *w, const ember_token_tile *x,
                                 size_t tiles, v16f *sums) {
  for (size_t t = 0; t < x->tokens; t++) sums[t] = 0;
  for (size_t b = 0; b < 2 * tiles; b += 2, w += two_level_tile(type)) {
    two_level_weights e;
    expand_two_level(type, w, &e);
    size_t t = 0;
    for (; t + TWO_LEVEL_TOKENS <= x->tokens; t += TWO_LEVEL_TOKENS)
      add_two_level(type, &e, x, b, t, TWO_LEVEL_TOKENS, sums + t);
    if (TWO_LEVEL_TOKENS > 4 && t + 4 <= x->tokens) {
      add_two_level(type, &e, x, b, t, 4, sums + t);
      t += 4;
    }
    if (t + 2 <= x->tokens) {
      add_two_level(type, &e, x, b, t, 2, sums + t);
      t += 2;
    }
    if (t < x->tokens) add_two_level(type, &e, x, b, t, 1, sums + t);
  }
}

// The blocks whose activations needed a second set of codes.
INLINE v16f residual_two_level(two_level type, const uint8_t *w, const ember_token_tile *x,
                               size_t token, v16f acc) {
  for (size_t i = 0; i < x->residual_block_count; i++) {
    size_t b = x->residual_blocks[i], at = b * x->tokens + token;
    if (x->residual_scales[at] == 0) continue;
    const uint8_t *tile = w + b / 2 * two_level_tile(type);
    const int8_t *codes = x->residual_codes + 32 * at;
    const int16_t *sums = x->residual_half_sums + 2 * at;
    float scale = x->residual_scales[at];
    if (b % 2) add_two_level_block(type, tile, 0, 1, 1, codes, sums, scale, &acc);
    else add_two_level_block(type, tile, 0, 1, 0, codes, sums, scale, &acc);
  }
  return acc;
}

// One token's residual blocks and row scales.
INLINE v16f scaled_two_level(two_level type, const uint8_t *group, const ember_token_tile *x,
                             size_t token, v16f acc) {
  v16f row_scales;
  memcpy(&row_scales, group, sizeof row_scales);
  return residual_two_level(type, group + ROW_SCALES, x, token, acc) * row_scales;
}

INLINE const uint8_t *two_level_outliers(two_level type, ember_matrix m, const uint8_t *group) {
  return group + ROW_SCALES + m.column_tiles * two_level_tile(type);
}

INLINE void finish_two_level(two_level type, ember_matrix m, const ember_token_tile *x,
                             ember_output y, size_t g, v16f acc) {
  const uint8_t *group = m.data + g * m.group_stride;
  const uint8_t *steps = two_level_outliers(type, m, group);
  // What the tiles do not ask for: they are AHEAD of each other, not of outliers and row scales.
  for (size_t s = 0; s <= m.outlier_steps; s++)
    __builtin_prefetch(steps + TWO_LEVEL_AHEAD + 64 * s, 0, 3);
  acc = scaled_two_level(type, group, x, 0, acc);
  acc = add_outliers(steps, m.outlier_steps, x->values, acc);
  store_rows(y, m.rows, g, 0, acc);
}

INLINE void multiply_two_level(two_level type, ember_matrix m, const ember_token_tile *x,
                               ember_output y, size_t first, size_t count) {
  v16f sums[16];
  size_t g = first, end = first + count, stride = m.group_stride;
  if (x->tokens == 1) {
    size_t each = count / STREAMS;
    for (; g < first + each; g++) {
      const uint8_t *w = m.data + g * stride + ROW_SCALES;
      dense_two_level_one(type, w, each * stride, STREAMS, x, m.column_tiles, sums);
      for (size_t s = 0; s < STREAMS; s++)
        finish_two_level(type, m, x, y, g + s * each, sums[s]);
    }
    for (g = first + STREAMS * each; g < end; g++) {
      dense_two_level_one(type, m.data + g * stride + ROW_SCALES, 0, 1, x, m.column_tiles, sums);
      finish_two_level(type, m, x, y, g, sums[0]);
    }
    return;
  }
  for (; g < end; g++) {
    const uint8_t *group = m.data + g * stride;
    dense_two_level_tile(type, group + ROW_SCALES, x, m.column_tiles, sums);
    for (size_t t = 0; t < x->tokens; t++) sums[t] = scaled_two_level(type, group, x, t, sums[t]);
    add_outliers_to_tile(two_level_outliers(type, m, group), m.outlier_steps, x, sums);
    for (size_t t = 0; t < x->tokens; t++) store_rows(y, m.rows, g, t, sums[t]);
  }
}

#define MULTIPLY_TWO_LEVEL(NAME, TYPE)                                                           \
  static void NAME(ember_matrix m, const ember_token_tile *x, ember_output y, size_t first,      \
                   size_t count) {                                                               \
    multiply_two_level(TYPE, m, x, y, first, count);                                             \
  }

MULTIPLY_TWO_LEVEL(multiply_q4n, Q4N)
MULTIPLY_TWO_LEVEL(multiply_q5, Q5)
MULTIPLY_TWO_LEVEL(multiply_q6, Q6)
