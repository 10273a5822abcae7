// Outliers of a row group: steps of 64 bytes, a column and a value for each of the sixteen rows.
// acc = fma(value, x[column], acc), step by step.

INLINE v16f gather(const float *values, const uint16_t *columns) {
  v16f v;
  for (int lane = 0; lane < 16; lane++) v[lane] = values[columns[lane]];
  return v;
}

// Of one token. Each step asks for a line of the row group behind.
INLINE v16f add_outliers(const uint8_t *steps, size_t count, const float *values, v16f acc) {
  for (size_t s = 0; s < count; s++) {
    const uint16_t *columns = (const uint16_t *)(steps + 64 * s);
    __builtin_prefetch(steps + 64 * (s + count), 0, 3);
    acc = fma16(load16_half(columns + 16), gather(values, columns), acc);
  }
  return acc;
}

typedef uint16_t v16w __attribute__((ext_vector_type(16)));

// Steps whose columns and values are unpacked at a time.
enum { OUTLIER_STEPS = 8 };

// Up to OUTLIER_STEPS steps; a vector of `sums` is a row, its lanes the tokens.
INLINE void add_outliers_by_rows(const uint8_t *steps, size_t count, const ember_token_tile *x,
                                 v16f *sums) {
  float values[OUTLIER_STEPS][16];
  int32_t columns[OUTLIER_STEPS][16];
  for (size_t s = 0; s < count; s++) {
    v16w packed;
    memcpy(&packed, steps + 64 * s, sizeof packed);
    // A damaged file's columns must not lead out of the tile.
    v16i last = (int32_t)x->columns - 1;
    v16i column = __builtin_elementwise_min(__builtin_convertvector(packed, v16i), last);
    memcpy(columns[s], &column, sizeof column);
    store16(values[s], load16_half((const uint16_t *)(steps + 64 * s + 32)));
  }
  for (size_t row = 0; row < 16; row++) {
    v16f acc = sums[row];
    for (size_t s = 0; s < count; s++)
      acc = fma16((v16f)values[s][row], load16(x->transposed + 16 * columns[s][row]), acc);
    sums[row] = acc;
  }
}

// Of all tokens of a tile: where there is a transposed tile, one line holds a column of all of them.
INLINE void add_outliers_to_tile(const uint8_t *steps, size_t count, const ember_token_tile *x,
                                 v16f *sums) {
  if (count == 0) return;
  if (!x->transposed || x->tokens < 4) {
    for (size_t t = 0; t < x->tokens; t++)
      sums[t] = add_outliers(steps, count, x->values + t * x->columns, sums[t]);
    return;
  }
  for (size_t t = x->tokens; t < 16; t++) sums[t] = 0;
  transpose16(sums);
  for (size_t s = 0; s < count; s += OUTLIER_STEPS) {
    size_t some = count - s < OUTLIER_STEPS ? count - s : OUTLIER_STEPS;
    add_outliers_by_rows(steps + 64 * s, some, x, sums);
  }
  transpose16(sums);
}
