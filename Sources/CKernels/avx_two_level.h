// The types with two levels of scales in 256-bit registers; included behind avx.h. A file supplies
//   __m256i add_pairs(__m256i acc, __m256i sums, __m256i scales)
//                            acc + sums · scales, pairs of 16-bit lanes into 32-bit ones

// Lanes of 16 bits shifted by a constant, to the right where it is negative.
INLINE __m256i shifted(__m256i v, int left) {
  return left < 0 ? _mm256_srli_epi16(v, -left) : _mm256_slli_epi16(v, left);
}

// The codes of line j of block b, rows 8i ... 8i + 7, as bytes of 0 ... 64: columns 4j ... 4j + 3
// in `low`, 16 columns further in `high`.
INLINE void two_level_codes(two_level type, const uint8_t *tile, int b, int j, int i, __m256i *low,
                            __m256i *high) {
  __m256i v = load32(tile + 64 + 256 * b + 64 * j + 32 * i);
  *low = low_codes(v);
  *high = high_codes(v);
  if (type == Q4N) {
    __m256i grid = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)q4n_grid));
    *low = _mm256_shuffle_epi8(grid, *low);
    *high = _mm256_shuffle_epi8(grid, *high);
  } else {
    __m256i plane = load32(plane_line(type, tile, b, j) + 32 * i);
    __m256i mask = _mm256_set1_epi8(plane_mask(type));
    __m256i first = shifted(plane, plane_shift(type, j, 0));
    __m256i second = shifted(plane, plane_shift(type, j, 1));
    *low = _mm256_or_si256(*low, _mm256_and_si256(first, mask));
    *high = _mm256_or_si256(*high, _mm256_and_si256(second, mask));
  }
}

// Eight rows' scales of both halves of a block, as 16-bit pairs.
INLINE __m256i scale_pairs(const uint8_t *tile, int b, int i) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(tile + 32 * b + 16 * i)));
}

// Of each pair, the first or the second twice. The compiler must not see through the masks: it
// would make two shuffles of one.
INLINE __m256i shuffled(__m256i v, __m128i mask) {
  __m256i both = _mm256_broadcastsi128_si256(mask);
  __asm__("" : "+x"(both));
  return _mm256_shuffle_epi8(v, both);
}
INLINE __m256i first_twice(__m256i pairs) {
  return shuffled(pairs, _mm_setr_epi8(0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13));
}
INLINE __m256i second_twice(__m256i pairs) {
  return shuffled(pairs, _mm_setr_epi8(2, 3, 2, 3, 6, 7, 6, 7, 10, 11, 10, 11, 14, 15, 14, 15));
}

// What the zero point takes from a block's products; `sums` are those of the activations' halves,
// negated.
INLINE __m256i zero_share(two_level type, __m256i pairs, __m256i sums) {
  return _mm256_slli_epi32(_mm256_madd_epi16(pairs, sums), type == Q5 ? 4 : 5);
}

INLINE __m256i negated_sums(const int16_t *sums) {
  return _mm256_sub_epi16(_mm256_setzero_si256(), broadcast4((const int8_t *)sums));
}

// The products of two lines stay in 16 bits: at most 64 · 127 · 4 = 32,512 in size.
INLINE __m256i two_lines(__m256i w0, __m256i x0, __m256i w1, __m256i x1) {
  return _mm256_add_epi16(_mm256_maddubs_epi16(w0, x0), _mm256_maddubs_epi16(w1, x1));
}

// acc + scale · Σ code · x over the sixteen columns of a half.
INLINE __m256i add_half(two_level type, __m256i acc, const __m256i *w, const __m256i *x,
                        __m256i scale) {
  __m256i first = two_lines(w[0], x[0], w[1], x[1]), second = two_lines(w[2], x[2], w[3], x[3]);
  // q5's codes end at 31: all four lines are at most 31 · 127 · 8 = 31,496 in size.
  if (type == Q5) return add_pairs(acc, _mm256_add_epi16(first, second), scale);
  return add_pairs(add_pairs(acc, first, scale), second, scale);
}

INLINE void add_two_level_block(two_level type, const uint8_t *tile, size_t stride, int streams,
                                int b, const int8_t *x, const int16_t *x_sums, float x_scale,
                                v16f *acc) {
  __m256i low_x[4], high_x[4], sums = negated_sums(x_sums);
  for (int j = 0; j < 4; j++) {
    low_x[j] = broadcast4(x + 4 * j);
    high_x[j] = broadcast4(x + 16 + 4 * j);
  }
  for (int s = 0; s < streams; s++, tile += stride) {
    const uint8_t *ahead = tile + TWO_LEVEL_AHEAD;
    if (b == 0) __builtin_prefetch(ahead, 0, 3);
    v8f rows[2] = {acc[s].lo, acc[s].hi};
    UNROLL
    for (int i = 0; i < 2; i++) {
      __m256i low[4], high[4], pairs = scale_pairs(tile, b, i);
      UNROLL
      for (int j = 0; j < 4; j++) {
        two_level_codes(type, tile, b, j, i, low + j, high + j);
        if (i == 0) __builtin_prefetch(ahead + 64 + 256 * b + 64 * j, 0, 3);
        else if (type == Q5 ? j == 0 : type == Q6 && j % 2 == 0)
          __builtin_prefetch(plane_line(type, ahead, b, j), 0, 3);
      }
      __m256i dot = zero_share(type, pairs, sums);
      dot = add_half(type, dot, low, low_x, first_twice(pairs));
      dot = add_half(type, dot, high, high_x, second_twice(pairs));
      rows[i] = add_block(dot, (v8f)x_scale, rows[i]);
    }
    acc[s].lo = rows[0];
    acc[s].hi = rows[1];
  }
}

// A tile's weights, rows 8i ... 8i + 7 in entry i.
typedef struct {
  __m256i codes[2][2][4][2];  // of the blocks' halves' lines, 0 ... 64
  __m256i scales[2][2][2];    // of the blocks' halves, each twice
  __m256i zeros[2][2];        // of the blocks, times the zero point, pairs for their halves
} two_level_weights;

INLINE void expand_two_level(two_level type, const uint8_t *tile, two_level_weights *e) {
  UNROLL
  for (int b = 0; b < 2; b++)
    UNROLL
    for (int i = 0; i < 2; i++) {
      __m256i pairs = scale_pairs(tile, b, i);
      e->scales[b][0][i] = first_twice(pairs);
      e->scales[b][1][i] = second_twice(pairs);
      // At most 32 · 128 in size.
      e->zeros[b][i] = _mm256_mullo_epi16(pairs, _mm256_set1_epi16((int16_t)-two_level_zero(type)));
      UNROLL
      for (int j = 0; j < 4; j++)
        two_level_codes(type, tile, b, j, i, &e->codes[b][0][j][i], &e->codes[b][1][j][i]);
    }
}

enum { TWO_LEVEL_TOKENS = 4 };

INLINE void add_two_level(two_level type, const two_level_weights *e, const ember_token_tile *x,
                          size_t b, size_t token, int count, v16f *sums) {
  UNROLL
  for (int block = 0; block < 2; block++) {
    size_t at = (b + block) * x->tokens + token;
    const int8_t *codes = x->codes + 32 * at;
    __m256i dots[4][2];
    for (int t = 0; t < count; t++) {
      __m256i half_sums = broadcast4((const int8_t *)(x->half_sums + 2 * (at + t)));
      for (int i = 0; i < 2; i++) dots[t][i] = _mm256_madd_epi16(e->zeros[block][i], half_sums);
    }
    UNROLL
    for (int half = 0; half < 2; half++)
      UNROLL
      for (int j = 0; j < 4; j += 2) {
        const __m256i *w0 = e->codes[block][half][j], *w1 = e->codes[block][half][j + 1];
        for (int t = 0; t < count; t++) {
          __m256i x0 = broadcast4(codes + 32 * t + 16 * half + 4 * j);
          __m256i x1 = broadcast4(codes + 32 * t + 16 * half + 4 * j + 4);
          for (int i = 0; i < 2; i++)
            dots[t][i] =
              add_pairs(dots[t][i], two_lines(w0[i], x0, w1[i], x1), e->scales[block][half][i]);
        }
      }
    for (int t = 0; t < count; t++) {
      v8f scale = x->scales[at + t];
      sums[t].lo = add_block(dots[t][0], scale, sums[t].lo);
      sums[t].hi = add_block(dots[t][1], scale, sums[t].hi);
    }
  }
  (void)type;
}
