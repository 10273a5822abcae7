// What the 256-bit x86 kernel files share: eight rows of four columns in a register, sixteen rows as
// two of them. A file includes immintrin.h and vectors.h, then this; it supplies the multiplication:
//   __m256i begin_q4(int32_t sum)                  the sum of no products, for a block whose
//                                                  activations add up to `sum`
//   __m256i add_q4(__m256i acc, __m256i w, __m256i x)   adds those of weights code 0 ... 15
//   __m256i end_q4(__m256i acc, int32_t sum)       one 32-bit sum per row of (code − 8) · x
//   begin_q8, add_q8, end_q8                       likewise of (code − 128) · x
// and Q8_ZERO, 128 where begin_q8 takes the zero point out by `sum`, else 0.

typedef int32_t v8i __attribute__((ext_vector_type(8)));

INLINE __m256i load32(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }

INLINE v16f load16_half(const uint16_t *p) {
  v16f v;
  v.lo = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
  v.hi = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 8)));
  return v;
}

INLINE v16i round_to_int(v16f v) {
  v16i r;
  r.lo = (v8i)_mm256_cvtps_epi32((__m256)v.lo);
  r.hi = (v8i)_mm256_cvtps_epi32((__m256)v.hi);
  return r;
}


// Four activation codes, given to all eight rows.
INLINE __m256i broadcast4(const int8_t *p) {
  int32_t four;
  memcpy(&four, p, 4);
  return _mm256_set1_epi32(four);
}

INLINE __m256i low_codes(__m256i v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
INLINE __m256i high_codes(__m256i v) { return low_codes(_mm256_srli_epi16(v, 4)); }

// The sums of `streams` row groups' blocks for one token, a group `stride` bytes behind the other.
INLINE void dots_q4(const uint8_t *w, size_t stride, int streams, const int8_t *x, v16i *dots) {
  __m256i acc[STREAMS][2];
  for (int s = 0; s < streams; s++) acc[s][0] = acc[s][1] = begin_q4(0);
  for (int j = 0; j < 4; j++) {
    __m256i low = broadcast4(x + 4 * j), high = broadcast4(x + 16 + 4 * j);
    for (int s = 0; s < streams; s++) {
      const uint8_t *line = w + s * stride + 64 * j;
      __builtin_prefetch(line + Q4_TILE, 0, 3);
      for (int i = 0; i < 2; i++) {
        __m256i v = load32(line + 32 * i);
        acc[s][i] = add_q4(acc[s][i], low_codes(v), low);
        acc[s][i] = add_q4(acc[s][i], high_codes(v), high);
      }
    }
  }
  for (int s = 0; s < streams; s++) {
    dots[s].lo = (v8i)end_q4(acc[s][0], 0);
    dots[s].hi = (v8i)end_q4(acc[s][1], 0);
  }
}

INLINE void dots_q8(const uint8_t *w, size_t stride, int streams, const int8_t *x, v16i *dots) {
  __m256i acc[STREAMS][2];
  for (int s = 0; s < streams; s++) acc[s][0] = acc[s][1] = begin_q8(0);
  for (int j = 0; j < 8; j++) {
    __m256i four = broadcast4(x + 4 * j);
    for (int s = 0; s < streams; s++) {
      const uint8_t *line = w + s * stride + 64 * j;
      __builtin_prefetch(line + Q8_TILE, 0, 3);
      for (int i = 0; i < 2; i++) acc[s][i] = add_q8(acc[s][i], load32(line + 32 * i), four);
    }
  }
  for (int s = 0; s < streams; s++) {
    dots[s].lo = (v8i)end_q8(acc[s][0], 0);
    dots[s].hi = (v8i)end_q8(acc[s][1], 0);
  }
}

// The unfinished sums of sixteen rows × 32 columns, `count` tokens: at four tokens they take eight
// registers and the weights of a step four.
INLINE void block_q4(const uint8_t *w, const int8_t *x, const int32_t *sums, int count,
                     __m256i dots[4][2]) {
  for (int j = 0; j < 4; j++) {
    __m256i v0 = load32(w + 64 * j), v1 = load32(w + 64 * j + 32);
    __m256i low0 = low_codes(v0), low1 = low_codes(v1);
    __m256i high0 = high_codes(v0), high1 = high_codes(v1);
    for (int t = 0; t < count; t++) {
      __m256i low = broadcast4(x + 32 * t + 4 * j), high = broadcast4(x + 32 * t + 16 + 4 * j);
      // In this order; begun before the loop, or one half after the other, it is up to 15 % slower.
      dots[t][0] = add_q4(j ? dots[t][0] : begin_q4(sums[t]), low0, low);
      dots[t][1] = add_q4(j ? dots[t][1] : begin_q4(sums[t]), low1, low);
      dots[t][0] = add_q4(dots[t][0], high0, high);
      dots[t][1] = add_q4(dots[t][1], high1, high);
    }
  }
}

INLINE void block_q8(const uint8_t *w, const int8_t *x, const int32_t *sums, int count,
                     __m256i dots[4][2]) {
  for (int t = 0; t < count; t++) dots[t][0] = dots[t][1] = begin_q8(sums[t]);
  for (int j = 0; j < 8; j++) {
    __m256i w0 = load32(w + 64 * j), w1 = load32(w + 64 * j + 32);
    for (int t = 0; t < count; t++) {
      __m256i four = broadcast4(x + 32 * t + 4 * j);
      dots[t][0] = add_q8(dots[t][0], w0, four);
      dots[t][1] = add_q8(dots[t][1], w1, four);
    }
  }
}

INLINE v8f add_block(__m256i dot, v8f scale, v8f acc) {
  return (v8f)_mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), (__m256)scale, (__m256)acc);
}

// Sixteen rows, `count` tokens from `token` on. The float sums go through memory, once per block.
#define DENSE_PART(NAME, BLOCK, END, TILE, BLOCK_BYTES)                                          \
  INLINE void NAME(const uint8_t *w, const ember_token_tile *x, size_t tiles, size_t token,      \
                   int count, v16f *sums) {                                                      \
    v8f acc[4][2];                                                                               \
    for (int t = 0; t < count; t++) acc[t][0] = acc[t][1] = 0;                                   \
    for (size_t b = 0; b < 2 * tiles; b++) {                                                     \
      const uint8_t *tile = w + b / 2 * TILE;                                                    \
      size_t at = b * x->tokens + token;                                                         \
      __m256i dots[4][2];                                                                        \
      BLOCK(tile + 64 + b % 2 * BLOCK_BYTES, x->codes + 32 * at, x->sums + at, count, dots);     \
      v16f scale = load16_half((const uint16_t *)(tile + 32 * (b % 2)));                         \
      for (int t = 0; t < count; t++) {                                                          \
        v8f token_scale = x->scales[at + t];                                                     \
        __m256i dot0 = END(dots[t][0], x->sums[at + t]), dot1 = END(dots[t][1], x->sums[at + t]); \
        acc[t][0] = add_block(dot0, scale.lo * token_scale, acc[t][0]);                          \
        acc[t][1] = add_block(dot1, scale.hi * token_scale, acc[t][1]);                          \
      }                                                                                          \
    }                                                                                            \
    for (int t = 0; t < count; t++) {                                                            \
      sums[token + t].lo = acc[t][0];                                                            \
      sums[token + t].hi = acc[t][1];                                                            \
    }                                                                                            \
  }

#define DENSE_TILE(NAME, PART)                                                                   \
  static void NAME(const uint8_t *w, const ember_token_tile *x, size_t tiles, v16f *sums) {      \
    size_t t = 0;                                                                                \
    for (; t + 4 <= x->tokens; t += 4) PART(w, x, tiles, t, 4, sums);                            \
    if (x->tokens - t == 3) PART(w, x, tiles, t, 3, sums);                                       \
    if (x->tokens - t == 2) PART(w, x, tiles, t, 2, sums);                                       \
    if (x->tokens - t == 1) PART(w, x, tiles, t, 1, sums);                                       \
  }

DENSE_PART(dense_q4_part, block_q4, end_q4, Q4_TILE, 256)
DENSE_PART(dense_q8_part, block_q8, end_q8, Q8_TILE, 512)
DENSE_TILE(dense_q4_tile, dense_q4_part)
DENSE_TILE(dense_q8_tile, dense_q8_part)

// Six tokens' sums of sixteen rows take twelve of sixteen registers.
enum { F16_TOKENS = 6 };

// dot_q8 of several x.
INLINE void dot_q8_queries(const uint8_t *w, const int8_t *const *x, int count, v16i *dot) {
  __m256i acc[4][2];
  for (int t = 0; t < count; t++) acc[t][0] = acc[t][1] = begin_q8(0);
  for (int j = 0; j < 8; j++) {
    __m256i w0 = load32(w + 64 * j), w1 = load32(w + 64 * j + 32);
    for (int t = 0; t < count; t++) {
      __m256i four = broadcast4(x[t] + 4 * j);
      acc[t][0] = add_q8(acc[t][0], w0, four);
      acc[t][1] = add_q8(acc[t][1], w1, four);
    }
  }
  for (int t = 0; t < count; t++) {
    dot[t].lo = (v8i)end_q8(acc[t][0], 0);
    dot[t].hi = (v8i)end_q8(acc[t][1], 0);
  }
}

// dot_q4 of several x.
INLINE void dot_q4_queries(const uint8_t *w, const int8_t *const *x, int count, v16i *dot) {
  __m256i acc[4][2];
  for (int t = 0; t < count; t++) acc[t][0] = acc[t][1] = begin_q4(0);
  for (int j = 0; j < 4; j++) {
    __m256i v0 = load32(w + 64 * j), v1 = load32(w + 64 * j + 32);
    __m256i low0 = low_codes(v0), low1 = low_codes(v1);
    __m256i high0 = high_codes(v0), high1 = high_codes(v1);
    for (int t = 0; t < count; t++) {
      __m256i low = broadcast4(x[t] + 4 * j), high = broadcast4(x[t] + 16 + 4 * j);
      acc[t][0] = add_q4(acc[t][0], low0, low);
      acc[t][1] = add_q4(acc[t][1], low1, low);
      acc[t][0] = add_q4(acc[t][0], high0, high);
      acc[t][1] = add_q4(acc[t][1], high1, high);
    }
  }
  for (int t = 0; t < count; t++) {
    dot[t].lo = (v8i)end_q4(acc[t][0], 0);
    dot[t].hi = (v8i)end_q4(acc[t][1], 0);
  }
}

// Sums of sixteen lanes that attention keeps in half of the registers.
enum { ATTENTION_SUMS = 4 };
