// Products of weight matrices with a tile of tokens: what is the same on every instruction set.

// Adds the bias and the old content where asked, and stores the rows that exist.
INLINE void store_rows(ember_output y, size_t rows, size_t group, size_t token, v16f sum) {
  size_t row = 16 * group;
  size_t n = rows - row < 16 ? rows - row : 16;
  float *out = y.output + token * y.stride + row;
  if (n == 16) {
    if (y.bias) sum = sum + load16(y.bias + row);
    if (y.accumulate) sum = sum + load16(out);
    store16(out, sum);
  } else {
    if (y.bias) sum = sum + load_first(y.bias + row, n);
    if (y.accumulate) sum = sum + load_first(out, n);
    store_first(out, sum, n);
  }
}

// The dense part of `streams` neighbouring row groups for a single token. DOTS gives the integer sums
// of one block in each of them, and asks for the lines AHEAD of it.
#define DENSE_ONE(NAME, TILE, BLOCK_BYTES, DOTS, ZERO)                                           \
  INLINE void NAME(const uint8_t *w, size_t stride, int streams, const ember_token_tile *x,      \
                   size_t tiles, v16f *acc) {                                                    \
    const int8_t *codes = x->codes;                                                              \
    for (int s = 0; s < streams; s++) acc[s] = 0;                                                \
    for (size_t b = 0; b < 2 * tiles; b += 2, w += TILE) {                                       \
      for (int s = 0; s < streams; s++) __builtin_prefetch(w + s * stride + TILE, 0, 3);         \
      for (size_t h = 0; h < 2; h++, codes += 32) {                                              \
        v16i dots[STREAMS], zero = (v16i)((ZERO) * x->sums[b + h]);                              \
        DOTS(w + 64 + h * BLOCK_BYTES, stride, streams, codes, dots);                            \
        for (int s = 0; s < streams; s++) {                                                      \
          const uint16_t *scales = (const uint16_t *)(w + s * stride + 32 * h);                  \
          v16f scale = load16_half(scales) * (v16f)x->scales[b + h];                             \
          acc[s] = fma16(to_float(dots[s] - zero), scale, acc[s]);                               \
        }                                                                                        \
      }                                                                                          \
    }                                                                                            \
  }

DENSE_ONE(dense_q4_one, Q4_TILE, 256, dots_q4, 8)
DENSE_ONE(dense_q8_one, Q8_TILE, 512, dots_q8, Q8_ZERO)

// The blocks whose activations needed a second set of codes, after all others.
#define RESIDUAL(NAME, TILE, BLOCK_BYTES, DOTS, ZERO)                                            \
  INLINE v16f NAME(const uint8_t *w, const ember_token_tile *x, size_t token, v16f acc) {        \
    for (size_t i = 0; i < x->residual_block_count; i++) {                                       \
      size_t b = x->residual_blocks[i], at = b * x->tokens + token;                              \
      if (x->residual_scales[at] == 0) continue;                                                 \
      const uint8_t *tile = w + b / 2 * TILE;                                                    \
      v16i dot;                                                                                  \
      DOTS(tile + 64 + b % 2 * BLOCK_BYTES, 0, 1, x->residual_codes + 32 * at, &dot);            \
      dot = dot - (v16i)((ZERO) * x->residual_sums[at]);                                         \
      v16f scale = load16_half((const uint16_t *)(tile + 32 * (b % 2)))                          \
        * (v16f)x->residual_scales[at];                                                          \
      acc = fma16(to_float(dot), scale, acc);                                                    \
    }                                                                                            \
    return acc;                                                                                  \
  }

RESIDUAL(residual_q4, Q4_TILE, 256, dots_q4, 8)
RESIDUAL(residual_q8, Q8_TILE, 512, dots_q8, Q8_ZERO)

#define MULTIPLY(NAME, ONE, MANY, REST, TILE)                                                    \
  INLINE void NAME##_one(ember_matrix m, const ember_token_tile *x, ember_output y, size_t g,    \
                         v16f acc) {                                                             \
    const uint8_t *w = m.data + g * m.group_stride;                                              \
    acc = REST(w, x, 0, acc);                                                                    \
    acc = add_outliers(w + m.column_tiles * TILE, m.outlier_steps, x->values, acc);              \
    store_rows(y, m.rows, g, 0, acc);                                                            \
  }                                                                                              \
  static void NAME(ember_matrix m, const ember_token_tile *x, ember_output y, size_t first,      \
                   size_t count) {                                                               \
    v16f sums[16];                                                                               \
    size_t g = first, end = first + count;                                                       \
    if (x->tokens == 1) {                                                                        \
      size_t each = count / STREAMS;                                                             \
      for (; g < first + each; g++) {                                                            \
        const uint8_t *w = m.data + g * m.group_stride;                                          \
        ONE(w, each * m.group_stride, STREAMS, x, m.column_tiles, sums);                         \
        for (size_t s = 0; s < STREAMS; s++) NAME##_one(m, x, y, g + s * each, sums[s]);         \
      }                                                                                          \
      for (g = first + STREAMS * each; g < end; g++) {                                           \
        ONE(m.data + g * m.group_stride, 0, 1, x, m.column_tiles, sums);                         \
        NAME##_one(m, x, y, g, sums[0]);                                                         \
      }                                                                                          \
      return;                                                                                    \
    }                                                                                            \
    for (; g < end; g++) {                                                                       \
      const uint8_t *w = m.data + g * m.group_stride;                                            \
      MANY(w, x, m.column_tiles, sums);                                                          \
      for (size_t t = 0; t < x->tokens; t++) sums[t] = REST(w, x, t, sums[t]);                   \
      add_outliers_to_tile(w + m.column_tiles * TILE, m.outlier_steps, x, sums);                 \
      for (size_t t = 0; t < x->tokens; t++) store_rows(y, m.rows, g, t, sums[t]);               \
    }                                                                                            \
  }

MULTIPLY(multiply_q4, dense_q4_one, dense_q4_tile, residual_q4, Q4_TILE)
MULTIPLY(multiply_q8, dense_q8_one, dense_q8_tile, residual_q8, Q8_TILE)

INLINE void dense_f16_one(const uint8_t *w, size_t stride, int streams, const ember_token_tile *x,
                          size_t tiles, v16f *acc) {
  for (int s = 0; s < streams; s++) acc[s] = 0;
  for (size_t c = 0; c < 64 * tiles; c += 2, w += 64) {
    for (int s = 0; s < streams; s++) {
      const uint16_t *halves = (const uint16_t *)(w + s * stride);
      __builtin_prefetch(w + s * stride + F16_TILE / 2, 0, 3);
      acc[s] = fma16(load16_half(halves), (v16f)x->values[c], acc[s]);
      acc[s] = fma16(load16_half(halves + 16), (v16f)x->values[c + 1], acc[s]);
    }
  }
}

// 16 rows × 64 columns, `count` tokens.
INLINE void add_floats(const float *weights, const float *values, size_t columns, int count,
                       v16f *sums) {
  v16f acc[F16_TOKENS];
  for (int t = 0; t < count; t++) acc[t] = sums[t];
  for (size_t c = 0; c < 64; c++) {
    v16f w = load16(weights + 16 * c);
    for (int t = 0; t < count; t++) acc[t] = fma16(w, (v16f)values[t * columns + c], acc[t]);
  }
  for (int t = 0; t < count; t++) sums[t] = acc[t];
}

// A tile's halves become floats once for all tokens.
static void dense_f16_tile(const uint8_t *w, const ember_token_tile *x, size_t tiles, v16f *sums) {
  for (size_t t = 0; t < x->tokens; t++) sums[t] = 0;
  for (size_t tile = 0; tile < tiles; tile++, w += F16_TILE) {
    float weights[64 * 16] __attribute__((aligned(64)));
    for (size_t c = 0; c < 64; c++) {
      if (c % 2 == 0) __builtin_prefetch(w + F16_TILE + 32 * c, 0, 3);
      store16(weights + 16 * c, load16_half((const uint16_t *)w + 16 * c));
    }
    const float *values = x->values + 64 * tile;
    size_t n = x->columns, t = 0;
    for (; t + F16_TOKENS <= x->tokens; t += F16_TOKENS)
      add_floats(weights, values + t * n, n, F16_TOKENS, sums + t);
    if (t + 4 <= x->tokens) { add_floats(weights, values + t * n, n, 4, sums + t); t += 4; }
    for (; t + 2 <= x->tokens; t += 2) add_floats(weights, values + t * n, n, 2, sums + t);
    if (t < x->tokens) add_floats(weights, values + t * n, n, 1, sums + t);
  }
}

// Halves are exact: no block has a second set of codes.
INLINE v16f residual_f16(const uint8_t *w, const ember_token_tile *x, size_t token, v16f acc) {
  (void)w, (void)x, (void)token;
  return acc;
}

MULTIPLY(multiply_f16, dense_f16_one, dense_f16_tile, residual_f16, F16_TILE)
