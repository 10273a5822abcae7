// NEON of the first arm64 processors, without dot products (Cortex-A53 and A72: Raspberry Pi 3, 4).
#if defined(__aarch64__)

#include <arm_neon.h>

#include "ckernels.h"
#include "vectors.h"

// The weights are taken as signed, code − 128: the zero point is out of the sums already.
enum { Q8_ZERO = 0 };

#include "neon.h"

// Four activation codes, given to all four rows.
INLINE int8x16_t broadcast4(const int8_t *p) {
  int32_t four;
  memcpy(&four, p, 4);
  return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

// Two rows' products in 16 bits: rows 0 and 1, or rows 2 and 3 of the four.
INLINE int16x8_t add_low(int16x8_t sum, uint8x16_t w, int8x16_t x) {
  return vmlal_s8(sum, vget_low_s8(vreinterpretq_s8_u8(w)), vget_low_s8(x));
}

INLINE int16x8_t add_high(int16x8_t sum, uint8x16_t w, int8x16_t x) {
  return vmlal_high_s8(sum, vreinterpretq_s8_u8(w), x);
}

// Each of a lane's eight products is at most 15 · 127 = 1,905 in size, the pair of two lanes at
// most 30,480: no overflow of 16 bits.
INLINE int32x4_t dot4_q4(const uint8x16_t *weights, const int8_t *codes, int32x4_t sum) {
  int16x8_t low = vdupq_n_s16(0), high = low;
  for (int j = 0; j < 8; j++) {
    int8x16_t x = broadcast4(codes + 4 * j);
    low = add_low(low, weights[j], x);
    high = add_high(high, weights[j], x);
  }
  return vpadalq_s16(sum, vpaddq_s16(low, high));
}

// Two products are at most 2 · 128 · 127 = 32,512 in size; beyond that, 32 bits.
INLINE int32x4_t dot4_q8(const uint8x16_t *weights, const int8_t *codes, int32x4_t sum) {
  const int16x8_t zero = vdupq_n_s16(0);
  int32x4_t low = vdupq_n_s32(0), high = low;
  for (int j = 0; j < 8; j += 2) {
    int8x16_t x = broadcast4(codes + 4 * j), next = broadcast4(codes + 4 * j + 4);
    low = vpadalq_s16(low, add_low(add_low(zero, weights[j], x), weights[j + 1], next));
    high = vpadalq_s16(high, add_high(add_high(zero, weights[j], x), weights[j + 1], next));
  }
  return vaddq_s32(sum, vpaddq_s32(low, high));
}

DOTS(dots_q4, unpack_q4, dot4_q4, Q4_TILE, 256)
DOTS(dots_q8, unpack_q8, dot4_q8, Q8_TILE, 512)
DOT_QUERIES(dot_q4_queries, unpack_q4, dot4_q4)
DOT_QUERIES(dot_q8_queries, unpack_q8, dot4_q8)
DENSE_PART(dense_q4_part, Q4_TILE, 256, unpack_q4, dot4_q4, 8)
DENSE_PART(dense_q8_part, Q8_TILE, 512, unpack_q8, dot4_q8, Q8_ZERO)
DENSE_TILE(dense_q4_tile, dense_q4_part)
DENSE_TILE(dense_q8_tile, dense_q8_part)

// Four products in 16 bits are at most 4 · 64 · 127 = 32,512 in size.
INLINE int32x4_t dot4_half(const uint8x16_t *weights, const int8_t *codes, int32x4_t sum) {
  int16x8_t low = vdupq_n_s16(0), high = low;
  for (int j = 0; j < 4; j++) {
    int8x16_t x = broadcast4(codes + 4 * j);
    low = add_low(low, weights[j], x);
    high = add_high(high, weights[j], x);
  }
  return vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
}

#include "neon_two_level.h"

INLINE void add_two_level(two_level type, const two_level_weights *e, const ember_token_tile *x,
                          size_t b, size_t token, int count, v16f *sums) {
  add_tokens(type, e, x, b, token, count, sums);
}

#include "kernels_common.h"

const ember_kernels ember_kernels_neon = EMBER_KERNEL_TABLE;

#endif
