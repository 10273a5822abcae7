// NEON with the int8 matrix product (FEAT_I8MM): Apple M2, Cortex-A510 and A710, Graviton 3 and
// later. One usmmla multiplies 2 rows × 8 columns with 8 columns × 2 tokens, twice the work of a
// sdot; a single token is left to usdot. Both take the weights as unsigned codes.
#if defined(__aarch64__)

#include <arm_neon.h>

#pragma clang attribute push(__attribute__((target("i8mm,dotprod"))), apply_to = function)

#include "ckernels.h"
#include "vectors.h"

enum { Q8_ZERO = 128 };

#include "neon.h"

INLINE int32x4_t dot4_half(const uint8x16_t *weights, const int8_t *codes, int32x4_t sum) {
  int8x16_t x = vld1q_s8(codes);
  sum = vusdotq_laneq_s32(sum, weights[0], x, 0);
  sum = vusdotq_laneq_s32(sum, weights[1], x, 1);
  sum = vusdotq_laneq_s32(sum, weights[2], x, 2);
  return vusdotq_laneq_s32(sum, weights[3], x, 3);
}

INLINE int32x4_t dot4(const uint8x16_t *weights, const int8_t *codes, int32x4_t sum) {
  return dot4_half(weights + 4, codes + 16, dot4_half(weights, codes, sum));
}

DOTS(dots_q4, unpack_q4, dot4, Q4_TILE, 256)
DOTS(dots_q8, unpack_q8, dot4, Q8_TILE, 512)
DOT_QUERIES(dot_q4_queries, unpack_q4, dot4)
DOT_QUERIES(dot_q8_queries, unpack_q8, dot4)

// Columns 8k ... 8k + 7 of rows 0 and 1 in upper[k], of rows 2 and 3 in lower[k].
INLINE void by_two_rows(const uint8x16_t *weights, uint8x16_t *upper, uint8x16_t *lower) {
  for (int k = 0; k < 4; k++) {
    uint32x4_t left = vreinterpretq_u32_u8(weights[2 * k]);
    uint32x4_t right = vreinterpretq_u32_u8(weights[2 * k + 1]);
    upper[k] = vreinterpretq_u8_u32(vzip1q_u32(left, right));
    lower[k] = vreinterpretq_u8_u32(vzip2q_u32(left, right));
  }
}

// Columns 8k ... 8k + 7 of two tokens in columns[k].
INLINE void by_two_tokens(const int8_t *one, const int8_t *other, int8x16_t *columns) {
  for (int k = 0; k < 4; k += 2) {
    int64x2_t a = vreinterpretq_s64_s8(vld1q_s8(one + 8 * k));
    int64x2_t b = vreinterpretq_s64_s8(vld1q_s8(other + 8 * k));
    columns[k] = vreinterpretq_s8_s64(vzip1q_s64(a, b));
    columns[k + 1] = vreinterpretq_s8_s64(vzip2q_s64(a, b));
  }
}

// Four rows, `pairs` pairs of tokens from `token` on; in a register, two rows of two tokens each.
// A last token without a partner is computed twice and stored once.
#define DENSE_PAIRS(NAME, TILE, BLOCK_BYTES, UNPACK, ZERO)                                       \
  INLINE void NAME(const uint8_t *w, const ember_token_tile *x, size_t tiles, size_t token,      \
                   int pairs, int quarter, v16f *sums) {                                         \
    float32x4_t upper[4], lower[4];                                                              \
    for (int p = 0; p < pairs; p++) upper[p] = lower[p] = vdupq_n_f32(0);                        \
    size_t partner = token + 1 < x->tokens;                                                      \
    for (size_t b = 0; b < 2 * tiles; b++) {                                                     \
      const uint8_t *tile = w + b / 2 * TILE;                                                    \
      float32x4_t scale = load4_half(tile + 32 * (b % 2) + 8 * quarter);                         \
      float32x4_t upper_scale = vzip1q_f32(scale, scale), lower_scale = vzip2q_f32(scale, scale);\
      uint8x16_t weights[8], upper_weights[4], lower_weights[4];                                 \
      UNPACK(tile + 64 + b % 2 * BLOCK_BYTES + 16 * quarter, weights);                           \
      by_two_rows(weights, upper_weights, lower_weights);                                        \
      UNROLL                                                                                     \
      for (int p = 0; p < pairs; p++) {                                                          \
        size_t at = b * x->tokens + token + 2 * p, other = at + partner;                         \
        int8x16_t columns[4];                                                                    \
        by_two_tokens(x->codes + 32 * at, x->codes + 32 * other, columns);                       \
        int32_t sum = -(ZERO) * x->sums[at], other_sum = -(ZERO) * x->sums[other];               \
        int32x4_t upper_dot = {sum, other_sum, sum, other_sum}, lower_dot = upper_dot;           \
        for (int k = 0; k < 4; k++) {                                                            \
          upper_dot = vusmmlaq_s32(upper_dot, upper_weights[k], columns[k]);                     \
          lower_dot = vusmmlaq_s32(lower_dot, lower_weights[k], columns[k]);                     \
        }                                                                                        \
        float one = x->scales[at], two = x->scales[other];                                       \
        float32x4_t scales = {one, two, one, two};                                               \
        upper[p] = vfmaq_f32(upper[p], vcvtq_f32_s32(upper_dot), upper_scale * scales);          \
        lower[p] = vfmaq_f32(lower[p], vcvtq_f32_s32(lower_dot), lower_scale * scales);          \
      }                                                                                          \
    }                                                                                            \
    for (int p = 0; p < pairs; p++) {                                                            \
      float *out = (float *)(sums + token + 2 * p) + 4 * quarter;                                \
      vst1q_f32(out, vuzp1q_f32(upper[p], lower[p]));                                            \
      if (partner) vst1q_f32(out + 16, vuzp2q_f32(upper[p], lower[p]));                          \
    }                                                                                            \
  }

DENSE_PAIRS(dense_q4_pairs, Q4_TILE, 256, unpack_q4, 8)
DENSE_PAIRS(dense_q8_pairs, Q8_TILE, 512, unpack_q8, Q8_ZERO)

#define DENSE_TILE_OF_PAIRS(NAME, PART)                                                          \
  static void NAME(const uint8_t *w, const ember_token_tile *x, size_t tiles, v16f *sums) {      \
    for (int quarter = 0; quarter < 4; quarter++) {                                              \
      size_t t = 0;                                                                              \
      for (; t + 8 <= x->tokens; t += 8) PART(w, x, tiles, t, 4, quarter, sums);                 \
      if (t + 4 <= x->tokens) { PART(w, x, tiles, t, 2, quarter, sums); t += 4; }                \
      for (; t < x->tokens; t += 2) PART(w, x, tiles, t, 1, quarter, sums);                      \
    }                                                                                            \
  }

DENSE_TILE_OF_PAIRS(dense_q4_tile, dense_q4_pairs)
DENSE_TILE_OF_PAIRS(dense_q8_tile, dense_q8_pairs)

#include "neon_two_level.h"

// Two rows of two tokens in a register: the sums of eight columns twice.
INLINE int32x4_t two_by_two(const uint8x16_t *weights, const int8x16_t *columns, int32x4_t sum) {
  return vusmmlaq_s32(vusmmlaq_s32(sum, weights[0], columns[0]), weights[1], columns[1]);
}

INLINE void add_two_level(two_level type, const two_level_weights *e, const ember_token_tile *x,
                          size_t b, size_t token, int count, v16f *sums) {
  if (count == 1) {
    add_tokens(type, e, x, b, token, count, sums);
    return;
  }
  int32_t zero = -two_level_zero(type);
  for (int block = 0; block < 2; block++) {
    size_t at = (b + block) * x->tokens + token;
    for (int quarter = 0; quarter < 4; quarter++) {
      uint8x16_t weights[8], upper[4], lower[4];
      load_expanded(e, block, quarter, weights);
      by_two_rows(weights, upper, lower);
      float32x4_t one = quarter_of(&e->scales[block][0], quarter);
      float32x4_t two = quarter_of(&e->scales[block][1], quarter);
      float32x4_t upper_one = vzip1q_f32(one, one), lower_one = vzip2q_f32(one, one);
      float32x4_t upper_two = vzip1q_f32(two, two), lower_two = vzip2q_f32(two, two);
      UNROLL
      for (int t = 0; t < count; t += 2) {
        const int8_t *codes = x->codes + 32 * (at + t);
        const int16_t *s = x->half_sums + 2 * (at + t);
        int8x16_t columns[4];
        by_two_tokens(codes, codes + 32, columns);
        int32x4_t first = {zero * s[0], zero * s[2], zero * s[0], zero * s[2]};
        int32x4_t second = {zero * s[1], zero * s[3], zero * s[1], zero * s[3]};
        float32x4_t above = both_halves4(two_by_two(upper, columns, first), upper_one,
                                         two_by_two(upper + 2, columns + 2, second), upper_two);
        float32x4_t below = both_halves4(two_by_two(lower, columns, first), lower_one,
                                         two_by_two(lower + 2, columns + 2, second), lower_two);
        add_to_quarter(sums + t, quarter, vuzp1q_f32(above, below), x->scales[at + t]);
        add_to_quarter(sums + t + 1, quarter, vuzp2q_f32(above, below), x->scales[at + t + 1]);
      }
    }
  }
}

#include "kernels_common.h"

const ember_kernels ember_kernels_neon_i8mm = EMBER_KERNEL_TABLE;

#pragma clang attribute pop

#endif
