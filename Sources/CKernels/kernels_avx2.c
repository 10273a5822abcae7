// AVX2 with FMA and F16C: any x86-64 since 2013 (Haswell, Zen).
#if defined(__x86_64__)

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#include <immintrin.h>

#include "ckernels.h"
#include "vectors.h"

INLINE v16f load16_half(const uint16_t *p) {
  v16f v;
  v.lo = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
  v.hi = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 8)));
  return v;
}

INLINE v16i round_to_int(v16f v) {
  v16i r;
  r.lo = (__attribute__((ext_vector_type(8))) int32_t)_mm256_cvtps_epi32((__m256)v.lo);
  r.hi = (__attribute__((ext_vector_type(8))) int32_t)_mm256_cvtps_epi32((__m256)v.hi);
  return r;
}

INLINE __m256i load32(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }

// Four activation codes, given to all eight rows.
INLINE __m256i broadcast4(const int8_t *p) {
  int32_t four;
  memcpy(&four, p, 4);
  return _mm256_set1_epi32(four);
}

INLINE __m256i low_codes(__m256i v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
INLINE __m256i high_codes(__m256i v) { return low_codes(_mm256_srli_epi16(v, 4)); }

// Pairs of 16-bit sums become one 32-bit sum per row.
INLINE __m256i pairs(__m256i v) { return _mm256_madd_epi16(v, _mm256_set1_epi16(1)); }

// Eight rows × 32 columns. Each of the eight 16-bit additions is at most 15 · 127 · 2 = 3,810 in
// size, their sum at most 30,480: no saturation.
INLINE __m256i dot_q4_half(const uint8_t *w, const int8_t *x) {
  __m256i sum = _mm256_setzero_si256();
  for (int j = 0; j < 4; j++) {
    __m256i v = load32(w + 64 * j);
    __m256i low = _mm256_maddubs_epi16(low_codes(v), broadcast4(x + 4 * j));
    __m256i high = _mm256_maddubs_epi16(high_codes(v), broadcast4(x + 16 + 4 * j));
    sum = _mm256_add_epi16(sum, _mm256_add_epi16(low, high));
  }
  return pairs(sum);
}

// Eight rows × 32 columns of signed weights q = code − 128: |q| · (x with q's sign), each pair at
// most 128 · 127 · 2 = 32,512 (writers use no code 0, a file may), then summed in 32 bits.
INLINE __m256i dot_q8_half(const uint8_t *w, const int8_t *x) {
  __m256i sum = _mm256_setzero_si256();
  for (int j = 0; j < 8; j++) {
    __m256i q = _mm256_xor_si256(load32(w + 64 * j), _mm256_set1_epi8((char)0x80));
    __m256i signed_x = _mm256_sign_epi8(broadcast4(x + 4 * j), q);
    sum = _mm256_add_epi32(sum, pairs(_mm256_maddubs_epi16(_mm256_abs_epi8(q), signed_x)));
  }
  return sum;
}

typedef int32_t v8i __attribute__((ext_vector_type(8)));
typedef float v8f __attribute__((ext_vector_type(8)));

INLINE v16i dot_q4(const uint8_t *w, const int8_t *x) {
  v16i v;
  v.lo = (v8i)dot_q4_half(w, x);
  v.hi = (v8i)dot_q4_half(w + 32, x);
  return v;
}

// dot_q8_half takes signed weights: the zero point is out of its sum already.
enum { Q8_ZERO = 0 };

INLINE v16i dot_q8(const uint8_t *w, const int8_t *x) {
  v16i v;
  v.lo = (v8i)dot_q8_half(w, x);
  v.hi = (v8i)dot_q8_half(w + 32, x);
  return v;
}

INLINE v8f add_block(__m256i dot, v8f scale, v8f acc) {
  return (v8f)_mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), (__m256)scale, (__m256)acc);
}

// Sixteen rows, `count` tokens from `token` on. The int16 sums of four tokens take eight registers,
// the weights of a step four; the float sums go through memory, once per block.
INLINE void dense_q4_part(const uint8_t *w, const ember_token_tile *x, size_t tiles, size_t token,
                          int count, v16f *sums) {
  v8f acc[4][2];
  for (int t = 0; t < count; t++) acc[t][0] = acc[t][1] = 0;
  for (size_t b = 0; b < 2 * tiles; b++) {
    const uint8_t *tile = w + b / 2 * 576, *block = tile + 64 + b % 2 * 256;
    size_t at = b * x->tokens + token;
    const int8_t *codes = x->codes + 32 * at;
    __m256i sum[4][2];
    for (int j = 0; j < 4; j++) {
      __m256i v0 = load32(block + 64 * j), v1 = load32(block + 64 * j + 32);
      __m256i low0 = low_codes(v0), low1 = low_codes(v1);
      __m256i high0 = high_codes(v0), high1 = high_codes(v1);
      for (int t = 0; t < count; t++) {
        __m256i low = broadcast4(codes + 32 * t + 4 * j);
        __m256i high = broadcast4(codes + 32 * t + 16 + 4 * j);
        __m256i s0 = _mm256_maddubs_epi16(low0, low), s1 = _mm256_maddubs_epi16(low1, low);
        sum[t][0] = j ? _mm256_add_epi16(sum[t][0], s0) : s0;
        sum[t][1] = j ? _mm256_add_epi16(sum[t][1], s1) : s1;
        sum[t][0] = _mm256_add_epi16(sum[t][0], _mm256_maddubs_epi16(high0, high));
        sum[t][1] = _mm256_add_epi16(sum[t][1], _mm256_maddubs_epi16(high1, high));
      }
    }
    v16f scale = load16_half((const uint16_t *)(tile + 32 * (b % 2)));
    for (int t = 0; t < count; t++) {
      __m256i zero = _mm256_slli_epi32(_mm256_set1_epi32(x->sums[at + t]), 3);
      v8f token_scale = x->scales[at + t];
      __m256i dot0 = _mm256_sub_epi32(pairs(sum[t][0]), zero);
      __m256i dot1 = _mm256_sub_epi32(pairs(sum[t][1]), zero);
      acc[t][0] = add_block(dot0, scale.lo * token_scale, acc[t][0]);
      acc[t][1] = add_block(dot1, scale.hi * token_scale, acc[t][1]);
    }
  }
  for (int t = 0; t < count; t++) {
    sums[token + t].lo = acc[t][0];
    sums[token + t].hi = acc[t][1];
  }
}

INLINE void dense_q8_part(const uint8_t *w, const ember_token_tile *x, size_t tiles, size_t token,
                          int count, v16f *sums) {
  v8f acc[4][2];
  for (int t = 0; t < count; t++) acc[t][0] = acc[t][1] = 0;
  for (size_t b = 0; b < 2 * tiles; b++) {
    const uint8_t *tile = w + b / 2 * 1088, *block = tile + 64 + b % 2 * 512;
    size_t at = b * x->tokens + token;
    const int8_t *codes = x->codes + 32 * at;
    __m256i sum[4][2];
    for (int t = 0; t < count; t++) sum[t][0] = sum[t][1] = _mm256_setzero_si256();
    for (int j = 0; j < 8; j++) {
      __m256i q0 = _mm256_xor_si256(load32(block + 64 * j), _mm256_set1_epi8((char)0x80));
      __m256i q1 = _mm256_xor_si256(load32(block + 64 * j + 32), _mm256_set1_epi8((char)0x80));
      __m256i size0 = _mm256_abs_epi8(q0), size1 = _mm256_abs_epi8(q1);
      for (int t = 0; t < count; t++) {
        __m256i four = broadcast4(codes + 32 * t + 4 * j);
        __m256i p0 = _mm256_maddubs_epi16(size0, _mm256_sign_epi8(four, q0));
        __m256i p1 = _mm256_maddubs_epi16(size1, _mm256_sign_epi8(four, q1));
        sum[t][0] = _mm256_add_epi32(sum[t][0], pairs(p0));
        sum[t][1] = _mm256_add_epi32(sum[t][1], pairs(p1));
      }
    }
    v16f scale = load16_half((const uint16_t *)(tile + 32 * (b % 2)));
    for (int t = 0; t < count; t++) {
      v8f token_scale = x->scales[at + t];
      acc[t][0] = add_block(sum[t][0], scale.lo * token_scale, acc[t][0]);
      acc[t][1] = add_block(sum[t][1], scale.hi * token_scale, acc[t][1]);
    }
  }
  for (int t = 0; t < count; t++) {
    sums[token + t].lo = acc[t][0];
    sums[token + t].hi = acc[t][1];
  }
}

#define DENSE_TILE(NAME, PART)                                                                   \
  static void NAME(const uint8_t *w, const ember_token_tile *x, size_t tiles, v16f *sums) {      \
    size_t t = 0;                                                                                \
    for (; t + 4 <= x->tokens; t += 4) PART(w, x, tiles, t, 4, sums);                            \
    if (x->tokens - t == 3) PART(w, x, tiles, t, 3, sums);                                       \
    if (x->tokens - t == 2) PART(w, x, tiles, t, 2, sums);                                       \
    if (x->tokens - t == 1) PART(w, x, tiles, t, 1, sums);                                       \
  }

DENSE_TILE(dense_q4_tile, dense_q4_part)
DENSE_TILE(dense_q8_tile, dense_q8_part)

// dot_q8 for several x.
INLINE void dot_q8_queries(const uint8_t *w, const int8_t *const *x, int count, v16i *dot) {
  __m256i sum[4][2];
  for (int t = 0; t < count; t++) sum[t][0] = sum[t][1] = _mm256_setzero_si256();
  for (int j = 0; j < 8; j++) {
    __m256i q0 = _mm256_xor_si256(load32(w + 64 * j), _mm256_set1_epi8((char)0x80));
    __m256i q1 = _mm256_xor_si256(load32(w + 64 * j + 32), _mm256_set1_epi8((char)0x80));
    __m256i size0 = _mm256_abs_epi8(q0), size1 = _mm256_abs_epi8(q1);
    for (int t = 0; t < count; t++) {
      __m256i four = broadcast4(x[t] + 4 * j);
      __m256i p0 = _mm256_maddubs_epi16(size0, _mm256_sign_epi8(four, q0));
      __m256i p1 = _mm256_maddubs_epi16(size1, _mm256_sign_epi8(four, q1));
      sum[t][0] = _mm256_add_epi32(sum[t][0], pairs(p0));
      sum[t][1] = _mm256_add_epi32(sum[t][1], pairs(p1));
    }
  }
  for (int t = 0; t < count; t++) {
    dot[t].lo = (v8i)sum[t][0];
    dot[t].hi = (v8i)sum[t][1];
  }
}

// Half of the register file.
enum { ATTENTION_SUMS = 4 };

#include "kernels_common.h"

const ember_kernels ember_kernels_avx2 = EMBER_KERNEL_TABLE;

#pragma clang attribute pop

#endif
