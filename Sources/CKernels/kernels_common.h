// The kernels that are the same C on every instruction set. A kernel file includes vectors.h,
// defines what only its instruction set can say, then includes this:
//   v16f load16_half(const uint16_t *p)         16 halves as floats
//   void dots_q4(const uint8_t *w, size_t stride, int streams, const int8_t *x, v16i *dots)
//                                    one token's block of 16 rows × 32 columns, weights code
//                                    0 ... 15, for row groups `stride` bytes apart
//   void dots_q8(...)                likewise, code − 128 + Q8_ZERO
//   void dot_q4_queries(const uint8_t *w, const int8_t *const *x, int count, v16i *dot)
//   void dot_q8_queries(...)         one group's q4 or q8 block for 1 ... 4 x, weights as above
//   void add_two_level_block(two_level type, const uint8_t *tile, size_t stride, int streams,
//                            int b, const int8_t *x, const int16_t *x_sums, float x_scale,
//                            v16f *acc)
//                                    acc = fma(float(dot), x_scale, acc) for block b of tiles
//                                    `stride` bytes apart
//   two_level_weights                a tile's weights, made ready for many tokens by
//   void expand_two_level(two_level type, const uint8_t *tile, two_level_weights *e), and added by
//   void add_two_level(two_level type, const two_level_weights *e, const ember_token_tile *x,
//                      size_t b, size_t token, int count, v16f *sums)
//                                    for 1, 2, 4 ... TWO_LEVEL_TOKENS; b counts the row's blocks
//   ATTENTION_SUMS                   v16f sums that attention keeps in registers
//   void dense_q4_tile / dense_q8_tile(...)     many tokens at once
//   v16i round_to_int(v16f v)                   nearest even

#include "ckernels.h"

#include "transpose.h"
#include "outliers.h"
#include "products.h"
#include "two_level.h"

// Codes of one block of 32 values; returns how many lie in −4 ... 4.
INLINE int encode_block(v16f a, v16f b, int8_t *codes, float *scale, int16_t *half_sums) {
  // Without their sign bit, floats are in the order of their bits; infinities and NaNs come last.
  v16i bits = __builtin_elementwise_max((v16i)a & INT32_MAX, (v16i)b & INT32_MAX);
  int32_t largest = __builtin_reduce_max(bits);
  float max;
  memcpy(&max, &largest, 4);
  if (!(max > 1e-30f) || max == __builtin_inff()) {
    // Below 1e-30, 127 / max would overflow: a block of zeros. What is not finite must not
    // disappear: it goes on as a NaN scale and is reported where the logits are read.
    memset(codes, 0, 32);
    *scale = max <= 1e-30f ? 0.0f : __builtin_nanf("");
    half_sums[0] = half_sums[1] = 0;
    return 0;
  }
  v16f inverse = 127.0f / max;
  v16i qa = round_to_int(a * inverse), qb = round_to_int(b * inverse);
  v16c low = __builtin_convertvector(qa, v16c), high = __builtin_convertvector(qb, v16c);
  memcpy(codes, &low, 16);
  memcpy(codes + 16, &high, 16);
  *scale = max / 127.0f;
  half_sums[0] = (int16_t)__builtin_reduce_add(qa);
  half_sums[1] = (int16_t)__builtin_reduce_add(qb);
  return -__builtin_reduce_add(((qa <= 4) & (qa >= -4)) + ((qb <= 4) & (qb >= -4)));
}

INLINE v16f codes_as_float(const int8_t *codes) {
  v16c c;
  memcpy(&c, codes, 16);
  return __builtin_convertvector(c, v16f);
}

static size_t quantize(const float *values, size_t tokens, size_t columns, ember_tile_storage s) {
  size_t listed = 0;
  for (size_t b = 0; b < columns / 32; b++) {
    int any = 0;
    for (size_t t = 0; t < tokens; t++) {
      size_t at = b * tokens + t;
      const float *x = values + t * columns + 32 * b;
      v16f low = load16(x), high = load16(x + 16);
      int few = encode_block(low, high, s.codes + 32 * at, s.scales + at, s.half_sums + 2 * at);
      s.sums[at] = s.half_sums[2 * at] + s.half_sums[2 * at + 1];
      s.residual_scales[at] = 0;
      if (few < 16) continue;
      v16f scale = -s.scales[at];
      low = fma16(scale, codes_as_float(s.codes + 32 * at), low);
      high = fma16(scale, codes_as_float(s.codes + 32 * at + 16), high);
      int16_t *half_sums = s.residual_half_sums + 2 * at;
      encode_block(low, high, s.residual_codes + 32 * at, s.residual_scales + at, half_sums);
      s.residual_sums[at] = half_sums[0] + half_sums[1];
      any |= s.residual_scales[at] != 0;
    }
    if (any) s.residual_blocks[listed++] = (uint32_t)b;
  }
  return listed;
}

// The integers nearest to v, ties to even, within the grid. After the clamp |v| is far below 2^22,
// where adding 1.5 · 2^23 leaves no fraction bits.
INLINE v16f nearest_in_grid(v16f v, const ember_grid *grid) {
  v = __builtin_elementwise_min(__builtin_elementwise_max(v, (v16f)grid->lowest), (v16f)grid->highest);
  return (v + (v16f)12582912.0f) - (v16f)12582912.0f;
}

INLINE void encode_weights(const float *weights, const float *importance, const ember_grid *grid,
                           int8_t *codes, uint16_t *scale, float *error) {
  v16f wa = load16(weights), wb = load16(weights + 16);
  v16f ha = load16(importance), hb = load16(importance + 16);
  float top = max_of_lanes(__builtin_elementwise_max(wa, wb));
  float bottom = -max_of_lanes(__builtin_elementwise_max(-wa, -wb));
  float extreme = top >= -bottom ? top : bottom;
  *scale = 0;
  *error = 0;
  memset(codes, 0, 32);
  if (extreme == 0) return;
  v16f hwa = ha * wa, hwb = hb * wb;
  float best_gain = -1, best_scale = 0;
  for (size_t i = 0; i < grid->factor_count << (grid->both_signs != 0); i++) {
    float factor = grid->factors[grid->both_signs ? i / 2 : i];
    float inverse = (grid->both_signs && i % 2 ? -factor : factor) * grid->lowest / extreme;
    v16f qa = nearest_in_grid(wa * (v16f)inverse, grid);
    v16f qb = nearest_in_grid(wb * (v16f)inverse, grid);
    float product = sum_of_lanes(fma16(hwb, qb, hwa * qa));
    float square = sum_of_lanes(fma16(hb * qb, qb, (ha * qa) * qa));
    float gain = square > 0 ? product * product / square : 0;
    if (gain > best_gain) {
      best_gain = gain;
      best_scale = square > 0 ? product / square : 0;
    }
  }
  float limited = best_scale > 65504 ? 65504 : best_scale < -65504 ? -65504 : best_scale;
  _Float16 half = (_Float16)limited;
  memcpy(scale, &half, 2);
  float rounded = (float)half;
  v16f qa = 0, qb = 0;
  if (rounded != 0) {
    v16f inverse = 1.0f / rounded;
    qa = nearest_in_grid(wa * inverse, grid);
    qb = nearest_in_grid(wb * inverse, grid);
  }
  v16c ca = __builtin_convertvector(qa, v16c), cb = __builtin_convertvector(qb, v16c);
  memcpy(codes, &ca, 16);
  memcpy(codes + 16, &cb, 16);
  v16f la = fma16(-qa, (v16f)rounded, wa), lb = fma16(-qb, (v16f)rounded, wb);
  *error = sum_of_lanes(fma16(hb * lb, lb, (ha * la) * la));
}

static void encode(const float *weights, const float *importance, size_t blocks,
                   const ember_grid *grid, int8_t *codes, uint16_t *scales, float *errors) {
  for (size_t b = 0; b < blocks; b++)
    encode_weights(weights + 32 * b, importance + 32 * b, grid, codes + 32 * b, scales + b, errors + b);
}

#include "groups.h"

#include "attention.h"

static void rms_norm(const float *x, const float *gain, float epsilon, size_t n, float *out) {
  v16f squares = 0;
  size_t i = 0;
  for (; i + 16 <= n; i += 16) squares = fma16(load16(x + i), load16(x + i), squares);
  v16f rest = load_first(x + i, n - i);
  squares = fma16(rest, rest, squares);
  float factor = 1.0f / __builtin_sqrtf(sum_of_lanes(squares) / (float)n + epsilon);
  for (i = 0; i < n; i++) out[i] = x[i] * factor * gain[i];
}

static void layer_norm(const float *x, const float *gain, const float *bias, float epsilon, size_t n,
                       float *out) {
  v16f total = 0;
  size_t i = 0;
  for (; i + 16 <= n; i += 16) total = total + load16(x + i);
  total = total + load_first(x + i, n - i);
  float mean = sum_of_lanes(total) / (float)n;
  v16f squares = 0;
  for (i = 0; i + 16 <= n; i += 16) {
    v16f d = load16(x + i) - (v16f)mean;
    squares = fma16(d, d, squares);
  }
  v16f rest = 0;
  for (size_t j = 0; i + j < n; j++) rest[j] = x[i + j] - mean;
  squares = fma16(rest, rest, squares);
  float factor = 1.0f / __builtin_sqrtf(sum_of_lanes(squares) / (float)n + epsilon);
  for (i = 0; i < n; i++) {
    float scaled = (x[i] - mean) * factor * gain[i];
    out[i] = bias ? scaled + bias[i] : scaled;
  }
}

#define EACH(NAME, EXPRESSION)                                                                   \
  static void NAME(float *x, size_t n) {                                                         \
    for (size_t i = 0; i < n; i += 16) {                                                         \
      size_t m = n - i < 16 ? n - i : 16;                                                        \
      v16f v = m == 16 ? load16(x + i) : load_first(x + i, m);                                   \
      v = EXPRESSION;                                                                            \
      if (m == 16) store16(x + i, v); else store_first(x + i, v, m);                             \
    }                                                                                            \
  }

EACH(silu, v / ((v16f)1.0f + exp16(-v)))
// x·½(1 + tanh u) = x / (1 + e^(−2u)), u = sqrt(2/π)(x + 0.044715 x³)
EACH(gelu_tanh, v / ((v16f)1.0f
  + exp16((v16f)-1.5957691216f * fma16((v16f)0.044715f * v * v, v, v))))

EACH(gelu, gelu16(v))
EACH(relu, select16(v < (v16f)0.0f, (v16f)0.0f, v))

static void soft_cap(float *x, float cap, size_t n) {
  for (size_t i = 0; i < n; i += 16) {
    size_t m = n - i < 16 ? n - i : 16;
    store_first(x + i, soft_cap16(load_first(x + i, m), cap), m);
  }
}

static void multiply_elements(float *x, const float *y, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = x[i] * y[i];
}

static void add_elements(float *x, const float *y, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = x[i] + y[i];
}

static float exponentials(float *x, float max, size_t n) {
  v16f total = 0;
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    v16f e = exp16(load16(x + i) - (v16f)max);
    store16(x + i, e);
    total = total + e;
  }
  if (i < n) {
    v16f e = exp16(load_first(x + i, n - i) - (v16f)max);
    store_first(x + i, e, n - i);
    total = total + load_first(x + i, n - i);
  }
  return sum_of_lanes(total);
}

static float maximum(const float *x, size_t n) {
  v16f top = -__builtin_inff();
  size_t i = 0;
  for (; i + 16 <= n; i += 16) top = __builtin_elementwise_max(top, load16(x + i));
  float best = max_of_lanes(top);
  for (; i < n; i++)
    if (x[i] > best) best = x[i];
  return best;
}

#include "rotary.h"
#include "sampling.h"

#define EMBER_KERNEL_TABLE                                                                       \
  {quantize, transpose, encode, search_groups, round_groups, multiply_q4, multiply_q8,           \
   multiply_q4n, multiply_q5, multiply_q6, multiply_f16, quantize_query, attend, attend_q8,      \
   attend_q8q4, attend_q4, join_attention, rms_norm, layer_norm, silu, gelu_tanh, gelu, relu,    \
   soft_cap, multiply_elements, add_elements, rotate, exponentials, maximum, extremes,           \
   select_keys, drop_below, sum_units, count_keys}
