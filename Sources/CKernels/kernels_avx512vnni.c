// AVX-512 with VNNI: Ice Lake, Zen 4 and later.
#if defined(__x86_64__)

#pragma clang attribute push(                                                                    \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"))),        \
  apply_to = function)

#include <immintrin.h>

#include "ckernels.h"
#include "vectors.h"

INLINE v16f load16_half(const uint16_t *p) {
  return (v16f)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

INLINE v16i round_to_int(v16f v) { return (v16i)_mm512_cvtps_epi32((__m512)v); }

INLINE __m512i load64(const void *p) { return _mm512_loadu_si512(p); }

// Four activation codes, given to all sixteen rows.
INLINE __m512i broadcast4(const int8_t *p) {
  int32_t four;
  memcpy(&four, p, 4);
  return _mm512_set1_epi32(four);
}

INLINE __m512i low_codes(__m512i v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
INLINE __m512i high_codes(__m512i v) { return low_codes(_mm512_srli_epi16(v, 4)); }

INLINE void dots_q4(const uint8_t *w, size_t stride, int streams, const int8_t *x, v16i *dots) {
  __m512i low[STREAMS], high[STREAMS];
  for (int s = 0; s < streams; s++) low[s] = high[s] = _mm512_setzero_si512();
  for (int j = 0; j < 4; j++) {
    __m512i x_low = broadcast4(x + 4 * j), x_high = broadcast4(x + 16 + 4 * j);
    for (int s = 0; s < streams; s++) {
      const uint8_t *line = w + s * stride + 64 * j;
      __builtin_prefetch(line + Q4_TILE, 0, 3);
      __m512i v = load64(line);
      low[s] = _mm512_dpbusd_epi32(low[s], low_codes(v), x_low);
      // Left in the upper half of its byte, 16 times too large; taken back once per block.
      __m512i upper = _mm512_and_si512(v, _mm512_set1_epi8((char)0xF0));
      high[s] = _mm512_dpbusd_epi32(high[s], upper, x_high);
    }
  }
  for (int s = 0; s < streams; s++)
    dots[s] = (v16i)_mm512_add_epi32(low[s], _mm512_srai_epi32(high[s], 4));
}

enum { Q8_ZERO = 128 };

INLINE void dots_q8(const uint8_t *w, size_t stride, int streams, const int8_t *x, v16i *dots) {
  __m512i even[STREAMS], odd[STREAMS];
  for (int s = 0; s < streams; s++) even[s] = odd[s] = _mm512_setzero_si512();
  for (int j = 0; j < 8; j += 2) {
    __m512i x_even = broadcast4(x + 4 * j), x_odd = broadcast4(x + 4 * j + 4);
    for (int s = 0; s < streams; s++) {
      const uint8_t *line = w + s * stride + 64 * j;
      __builtin_prefetch(line + Q8_TILE, 0, 3);
      __builtin_prefetch(line + Q8_TILE + 64, 0, 3);
      even[s] = _mm512_dpbusd_epi32(even[s], load64(line), x_even);
      odd[s] = _mm512_dpbusd_epi32(odd[s], load64(line + 64), x_odd);
    }
  }
  for (int s = 0; s < streams; s++) dots[s] = (v16i)_mm512_add_epi32(even[s], odd[s]);
}

// Eight tokens at a time: their eight integer sums, eight float sums and the block's eight weight
// registers fill three quarters of the register file; eight independent chains hide the latency.
#define DENSE_PART(NAME, TILE, BLOCK_BYTES, UNPACK, ZERO)                                        \
  INLINE void NAME(const uint8_t *w, const ember_token_tile *x, size_t tiles, size_t token,      \
                   int count, v16f *sums) {                                                      \
    v16f acc[8];                                                                                 \
    for (int t = 0; t < count; t++) acc[t] = 0;                                                  \
    for (size_t b = 0; b < 2 * tiles; b++) {                                                     \
      const uint8_t *tile = w + b / 2 * TILE, *block = tile + 64 + b % 2 * BLOCK_BYTES;          \
      v16f scale = load16_half((const uint16_t *)(tile + 32 * (b % 2)));                         \
      size_t at = b * x->tokens + token;                                                         \
      const int8_t *codes = x->codes + 32 * at;                                                  \
      __m512i weights[8], dot[8];                                                                \
      UNPACK(block, weights);                                                                    \
      for (int t = 0; t < count; t++) dot[t] = _mm512_set1_epi32(-(ZERO) * x->sums[at + t]);     \
      for (int j = 0; j < 8; j++)                                                                \
        for (int t = 0; t < count; t++)                                                          \
          dot[t] = _mm512_dpbusd_epi32(dot[t], weights[j], broadcast4(codes + 32 * t + 4 * j));  \
      for (int t = 0; t < count; t++)                                                            \
        acc[t] = fma16(to_float((v16i)dot[t]), scale * (v16f)x->scales[at + t], acc[t]);         \
    }                                                                                            \
    for (int t = 0; t < count; t++) sums[token + t] = acc[t];                                    \
  }

INLINE void unpack_q4(const uint8_t *block, __m512i *weights) {
  for (int j = 0; j < 4; j++) {
    __m512i v = load64(block + 64 * j);
    weights[j] = low_codes(v);
    weights[4 + j] = high_codes(v);
  }
}

INLINE void unpack_q8(const uint8_t *block, __m512i *weights) {
  for (int j = 0; j < 8; j++) weights[j] = load64(block + 64 * j);
}

DENSE_PART(dense_q4_part, Q4_TILE, 256, unpack_q4, 8)
DENSE_PART(dense_q8_part, Q8_TILE, 512, unpack_q8, 128)

#define DENSE_TILE(NAME, PART)                                                                   \
  static void NAME(const uint8_t *w, const ember_token_tile *x, size_t tiles, v16f *sums) {      \
    size_t t = 0;                                                                                \
    for (; t + 8 <= x->tokens; t += 8) PART(w, x, tiles, t, 8, sums);                            \
    if (t + 4 <= x->tokens) { PART(w, x, tiles, t, 4, sums); t += 4; }                           \
    if (t + 2 <= x->tokens) { PART(w, x, tiles, t, 2, sums); t += 2; }                           \
    if (t < x->tokens) PART(w, x, tiles, t, 1, sums);                                            \
  }

DENSE_TILE(dense_q4_tile, dense_q4_part)
DENSE_TILE(dense_q8_tile, dense_q8_part)

// dot_q8 of several x.
INLINE void dot_q8_queries(const uint8_t *w, const int8_t *const *x, int count, v16i *dot) {
  __m512i sum[4][2];
  for (int t = 0; t < count; t++) sum[t][0] = sum[t][1] = _mm512_setzero_si512();
  for (int j = 0; j < 8; j++) {
    __m512i weights = load64(w + 64 * j);
    for (int t = 0; t < count; t++)
      sum[t][j % 2] = _mm512_dpbusd_epi32(sum[t][j % 2], weights, broadcast4(x[t] + 4 * j));
  }
  for (int t = 0; t < count; t++) dot[t] = (v16i)_mm512_add_epi32(sum[t][0], sum[t][1]);
}

// dot_q4 of several x.
INLINE void dot_q4_queries(const uint8_t *w, const int8_t *const *x, int count, v16i *dot) {
  __m512i sum[4][2];
  for (int t = 0; t < count; t++) sum[t][0] = sum[t][1] = _mm512_setzero_si512();
  for (int j = 0; j < 4; j++) {
    __m512i v = load64(w + 64 * j), low = low_codes(v), high = high_codes(v);
    for (int t = 0; t < count; t++) {
      sum[t][0] = _mm512_dpbusd_epi32(sum[t][0], low, broadcast4(x[t] + 4 * j));
      sum[t][1] = _mm512_dpbusd_epi32(sum[t][1], high, broadcast4(x[t] + 16 + 4 * j));
    }
  }
  for (int t = 0; t < count; t++) dot[t] = (v16i)_mm512_add_epi32(sum[t][0], sum[t][1]);
}

#include "wide_two_level.h"

typedef uint16_t v32s __attribute__((ext_vector_type(32)));

// Lanes of 16 bits shifted by a constant, to the right where it is negative.
INLINE __m512i shifted(__m512i v, int left) {
  return (__m512i)(left < 0 ? (v32s)v >> (uint16_t)-left : (v32s)v << (uint16_t)left);
}

// The codes of line j of block b as bytes of 0 ... 64: columns 4j ... 4j + 3 in `low`, 16 columns
// further in `high`.
INLINE void two_level_codes(two_level type, const uint8_t *tile, int b, int j, __m512i *low,
                            __m512i *high) {
  __m512i v = load64(tile + 64 + 256 * b + 64 * j);
  *low = low_codes(v);
  *high = high_codes(v);
  if (type == Q4N) {
    __m512i grid = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)q4n_grid));
    *low = _mm512_shuffle_epi8(grid, *low);
    *high = _mm512_shuffle_epi8(grid, *high);
  } else {
    __m512i plane = load64(plane_line(type, tile, b, j));
    __m512i mask = _mm512_set1_epi8(plane_mask(type));
    __m512i first = shifted(plane, plane_shift(type, j, 0));
    __m512i second = shifted(plane, plane_shift(type, j, 1));
    *low = _mm512_or_si512(*low, _mm512_and_si512(first, mask));
    *high = _mm512_or_si512(*high, _mm512_and_si512(second, mask));
  }
}

INLINE void add_two_level_block(two_level type, const uint8_t *tile, size_t stride, int streams,
                                int b, const int8_t *x, const int16_t *x_sums, float x_scale,
                                v16f *acc) {
  int32_t zero = -two_level_zero(type);
  for (int s = 0; s < streams; s++, tile += stride) {
    const uint8_t *ahead = tile + TWO_LEVEL_AHEAD;
    if (b == 0) __builtin_prefetch(ahead, 0, 3);
    __m512i first = _mm512_set1_epi32(zero * x_sums[0]);
    __m512i second = _mm512_set1_epi32(zero * x_sums[1]);
    UNROLL
    for (int j = 0; j < 4; j++) {
      __m512i low, high;
      two_level_codes(type, tile, b, j, &low, &high);
      __builtin_prefetch(ahead + 64 + 256 * b + 64 * j, 0, 3);
      if (type == Q5 ? j == 0 : type == Q6 && j % 2 == 0)
        __builtin_prefetch(plane_line(type, ahead, b, j), 0, 3);
      first = _mm512_dpbusd_epi32(first, low, broadcast4(x + 4 * j));
      second = _mm512_dpbusd_epi32(second, high, broadcast4(x + 16 + 4 * j));
    }
    v16f first_scale, second_scale;
    half_scales(tile, b, &first_scale, &second_scale);
    v16f both = both_halves((v16i)first, first_scale, (v16i)second, second_scale);
    acc[s] = fma16(both, (v16f)x_scale, acc[s]);
  }
}

INLINE void expand_two_level(two_level type, const uint8_t *tile, two_level_weights *e) {
  UNROLL
  for (int b = 0; b < 2; b++) {
    half_scales(tile, b, &e->scales[b][0], &e->scales[b][1]);
    UNROLL
    for (int j = 0; j < 4; j++) {
      __m512i low, high;
      two_level_codes(type, tile, b, j, &low, &high);
      _mm512_storeu_si512(e->codes[b][j], low);
      _mm512_storeu_si512(e->codes[b][4 + j], high);
    }
  }
}

enum { TWO_LEVEL_TOKENS = 8 };

INLINE void add_two_level(two_level type, const two_level_weights *e, const ember_token_tile *x,
                          size_t b, size_t token, int count, v16f *sums) {
  int32_t zero = -two_level_zero(type);
  for (int block = 0; block < 2; block++) {
    size_t at = (b + block) * x->tokens + token;
    const int8_t *codes = x->codes + 32 * at;
    __m512i dot[2][8];
    for (int half = 0; half < 2; half++) {
      for (int t = 0; t < count; t++)
        dot[half][t] = _mm512_set1_epi32(zero * x->half_sums[2 * (at + t) + half]);
      for (int j = 4 * half; j < 4 * half + 4; j++) {
        __m512i weights = load64(e->codes[block][j]);
        for (int t = 0; t < count; t++)
          dot[half][t] =
            _mm512_dpbusd_epi32(dot[half][t], weights, broadcast4(codes + 32 * t + 4 * j));
      }
    }
    for (int t = 0; t < count; t++) {
      v16f both = both_halves((v16i)dot[0][t], e->scales[block][0], (v16i)dot[1][t],
                              e->scales[block][1]);
      sums[t] = fma16(both, (v16f)x->scales[at + t], sums[t]);
    }
  }
}

// Sums of sixteen lanes that attention keeps in half of the registers.
enum { ATTENTION_SUMS = 16 };

// Eight chains of sums hide the latency of their additions.
enum { F16_TOKENS = 8 };

#include "kernels_common.h"

const ember_kernels ember_kernels_avx512vnni = EMBER_KERNEL_TABLE;

#pragma clang attribute pop

#endif
