// NEON with dot products (FEAT_DotProd): Apple silicon, Cortex-A75 and later, Raspberry Pi 5.
#if defined(__aarch64__)

#include <arm_neon.h>

#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)

#include "ckernels.h"
#include "vectors.h"

// sdot takes signed weights, code − 128: the zero point is out of the sums already.
enum { Q8_ZERO = 0 };

#include "neon.h"

// Each instruction adds four columns of four rows; the token's codes for these columns are picked
// from their register by number.
#define ADD(SUM, W, X, LANE) vdotq_laneq_s32(SUM, vreinterpretq_s8_u8(W), X, LANE)

INLINE int32x4_t dot4_half(const uint8x16_t *weights, const int8_t *codes, int32x4_t sum) {
  int8x16_t x = vld1q_s8(codes);
  sum = ADD(sum, weights[0], x, 0);
  sum = ADD(sum, weights[1], x, 1);
  sum = ADD(sum, weights[2], x, 2);
  return ADD(sum, weights[3], x, 3);
}

INLINE int32x4_t dot4(const uint8x16_t *weights, const int8_t *codes, int32x4_t sum) {
  return dot4_half(weights + 4, codes + 16, dot4_half(weights, codes, sum));
}

DOTS(dots_q4, unpack_q4, dot4, Q4_TILE, 256)
DOTS(dots_q8, unpack_q8, dot4, Q8_TILE, 512)
DOT_QUERIES(dot_q4_queries, unpack_q4, dot4)
DOT_QUERIES(dot_q8_queries, unpack_q8, dot4)
DENSE_PART(dense_q4_part, Q4_TILE, 256, unpack_q4, dot4, 8)
DENSE_PART(dense_q8_part, Q8_TILE, 512, unpack_q8, dot4, Q8_ZERO)
DENSE_TILE(dense_q4_tile, dense_q4_part)
DENSE_TILE(dense_q8_tile, dense_q8_part)

#include "neon_two_level.h"

INLINE void add_two_level(two_level type, const two_level_weights *e, const ember_token_tile *x,
                          size_t b, size_t token, int count, v16f *sums) {
  add_tokens(type, e, x, b, token, count, sums);
}

#include "kernels_common.h"

const ember_kernels ember_kernels_neon_dotprod = EMBER_KERNEL_TABLE;

#pragma clang attribute pop

#endif
