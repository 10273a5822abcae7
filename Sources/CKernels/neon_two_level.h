// The types with two levels of scales on NEON; included behind neon.h. A file supplies the product
// of four rows with sixteen columns, whose weights are 0 ... 64, the same with and without a sign:
//   int32x4_t dot4_half(const uint8x16_t weights[4], const int8_t *codes, int32x4_t sum)

#include "wide_two_level.h"

// The codes of line j of block b, rows 4 · quarter and on, as bytes of 0 ... 64: columns 4j ...
// 4j + 3 in `low`, 16 columns further in `high`.
INLINE void two_level_codes(two_level type, const uint8_t *tile, int b, int j, int quarter,
                            uint8x16_t *low, uint8x16_t *high) {
  uint8x16_t v = vld1q_u8(tile + 64 + 256 * b + 64 * j + 16 * quarter);
  *low = vandq_u8(v, vdupq_n_u8(15));
  *high = vshrq_n_u8(v, 4);
  if (type == Q4N) {
    uint8x16_t grid = vld1q_u8(q4n_grid);
    *low = vqtbl1q_u8(grid, *low);
    *high = vqtbl1q_u8(grid, *high);
  } else {
    uint8x16_t plane = vld1q_u8(plane_line(type, tile, b, j) + 16 * quarter);
    uint8x16_t mask = vdupq_n_u8((uint8_t)plane_mask(type));
    int8x16_t first = vdupq_n_s8((int8_t)plane_shift(type, j, 0));
    int8x16_t second = vdupq_n_s8((int8_t)plane_shift(type, j, 1));
    *low = vorrq_u8(*low, vandq_u8(vshlq_u8(plane, first), mask));
    *high = vorrq_u8(*high, vandq_u8(vshlq_u8(plane, second), mask));
  }
}

INLINE void add_two_level_block(two_level type, const uint8_t *tile, size_t stride, int streams,
                                int b, const int8_t *x, const int16_t *x_sums, float x_scale,
                                v16f *acc) {
  int32_t zero = -two_level_zero(type);
  for (int s = 0; s < streams; s++, tile += stride) {
    const uint8_t *ahead = tile + TWO_LEVEL_AHEAD;
    if (b == 0) __builtin_prefetch(ahead, 0, 3);
    int32x4_t first[4], second[4];
    for (int i = 0; i < 4; i++) {
      uint8x16_t low[4], high[4];
      UNROLL
      for (int j = 0; j < 4; j++) two_level_codes(type, tile, b, j, i, low + j, high + j);
      __builtin_prefetch(ahead + 64 + 256 * b + 64 * i, 0, 3);
      if (type == Q5 ? i == 0 : type == Q6 && i % 2 == 0)
        __builtin_prefetch(plane_line(type, ahead, b, i), 0, 3);
      first[i] = dot4_half(low, x, vdupq_n_s32(zero * x_sums[0]));
      second[i] = dot4_half(high, x + 16, vdupq_n_s32(zero * x_sums[1]));
    }
    v16i halves[2];
    memcpy(halves, first, sizeof first);
    memcpy(halves + 1, second, sizeof second);
    v16f first_scale, second_scale;
    half_scales(tile, b, &first_scale, &second_scale);
    v16f both = both_halves(halves[0], first_scale, halves[1], second_scale);
    acc[s] = fma16(both, (v16f)x_scale, acc[s]);
  }
}

INLINE void expand_two_level(two_level type, const uint8_t *tile, two_level_weights *e) {
  for (int b = 0; b < 2; b++) {
    half_scales(tile, b, &e->scales[b][0], &e->scales[b][1]);
    for (int quarter = 0; quarter < 4; quarter++) {
      UNROLL
      for (int j = 0; j < 4; j++) {
        uint8x16_t low, high;
        two_level_codes(type, tile, b, j, quarter, &low, &high);
        vst1q_u8(e->codes[b][j] + 16 * quarter, low);
        vst1q_u8(e->codes[b][4 + j] + 16 * quarter, high);
      }
    }
  }
}

// Four rows of a block.
INLINE void load_expanded(const two_level_weights *e, int b, int quarter, uint8x16_t *weights) {
  for (int j = 0; j < 8; j++) weights[j] = vld1q_u8(e->codes[b][j] + 16 * quarter);
}

INLINE float32x4_t quarter_of(const v16f *v, int quarter) {
  return vld1q_f32((const float *)v + 4 * quarter);
}

// sum + value · scale for four rows of one token.
INLINE void add_to_quarter(v16f *sum, int quarter, float32x4_t value, float scale) {
  float *four = (float *)sum + 4 * quarter;
  vst1q_f32(four, vfmaq_n_f32(vld1q_f32(four), value, scale));
}

INLINE float32x4_t both_halves4(int32x4_t first, float32x4_t first_scale, int32x4_t second,
                                float32x4_t second_scale) {
  return vfmaq_f32(vmulq_f32(vcvtq_f32_s32(first), first_scale), vcvtq_f32_s32(second),
                   second_scale);
}

enum { TWO_LEVEL_TOKENS = 8 };

// add_two_level, token by token.
INLINE void add_tokens(two_level type, const two_level_weights *e, const ember_token_tile *x,
                       size_t b, size_t token, int count, v16f *sums) {
  int32_t zero = -two_level_zero(type);
  for (int block = 0; block < 2; block++) {
    size_t at = (b + block) * x->tokens + token;
    for (int quarter = 0; quarter < 4; quarter++) {
      uint8x16_t weights[8];
      load_expanded(e, block, quarter, weights);
      float32x4_t first_scale = quarter_of(&e->scales[block][0], quarter);
      float32x4_t second_scale = quarter_of(&e->scales[block][1], quarter);
      UNROLL
      for (int t = 0; t < count; t++) {
        const int8_t *codes = x->codes + 32 * (at + t);
        const int16_t *half_sums = x->half_sums + 2 * (at + t);
        int32x4_t first = dot4_half(weights, codes, vdupq_n_s32(zero * half_sums[0]));
        int32x4_t second = dot4_half(weights + 4, codes + 16, vdupq_n_s32(zero * half_sums[1]));
        float32x4_t both = both_halves4(first, first_scale, second, second_scale);
        add_to_quarter(sums + t, quarter, both, x->scales[at + t]);
      }
    }
  }
}
