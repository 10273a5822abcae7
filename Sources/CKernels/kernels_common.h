// The kernels that are the same C on every instruction set. A kernel file includes vectors.h,
// defines what only its instruction set can say, then includes this:
//   v16f load16_half(const uint16_t *p)         16 halves as floats
//   v16i dot_q4(const uint8_t *w, const int8_t *x)   16 rows × 32 columns, weights code 0 ... 15
//   v16i dot_q8(const uint8_t *w, const int8_t *x)   likewise, code − 128 + Q8_ZERO
//   void dot_q8_queries(...)                    likewise, several blocks of 32 columns at once
//   ATTENTION_SUMS                              how many v16f sums stay in registers (attention.h)
//   void dense_q4_tile / dense_q8_tile(...)     many tokens at once
//   v16i round_to_int(v16f v)                   nearest even

#include "ckernels.h"

enum { Q4_TILE = 576, Q8_TILE = 1088, F16_TILE = 2048 };

// Adds the bias and the old content where asked, and stores the rows that exist.
INLINE void store_rows(ember_output y, size_t rows, size_t group, size_t token, v16f sum) {
  size_t row = 16 * group;
  size_t n = rows - row < 16 ? rows - row : 16;
  float *out = y.output + token * y.stride + row;
  if (n == 16) {
    if (y.bias) sum = sum + load16(y.bias + row);
    if (y.accumulate) sum = sum + load16(out);
    store16(out, sum);
  } else {
    if (y.bias) sum = sum + load_first(y.bias + row, n);
    if (y.accumulate) sum = sum + load_first(out, n);
    store_first(out, sum, n);
  }
}

INLINE v16f gather(const float *values, const uint16_t *columns) {
  v16f v;
  for (int lane = 0; lane < 16; lane++) v[lane] = values[columns[lane]];
  return v;
}

// acc = fma(value, x[column], acc) per outlier step.
INLINE v16f add_outliers(const uint8_t *steps, size_t count, const float *values, v16f acc) {
  for (size_t s = 0; s < count; s++) {
    const uint16_t *columns = (const uint16_t *)(steps + 64 * s);
    acc = fma16(load16_half(columns + 16), gather(values, columns), acc);
  }
  return acc;
}

// The dense part of one row group for a single token: weights stream from memory, so the lines to
// come are asked for early, spread through the loop (a burst per tile is 10 to 15 % slower).
#define DENSE_ONE(NAME, TILE, BLOCK_BYTES, DOT, ZERO, AHEAD)                                     \
  INLINE v16f NAME(const uint8_t *w, const ember_token_tile *x, size_t tiles) {                  \
    v16f acc = 0;                                                                                \
    const int8_t *codes = x->codes;                                                              \
    for (size_t b = 0; b < 2 * tiles; b += 2, w += TILE) {                                       \
      for (size_t h = 0; h < 2; h++, codes += 32) {                                              \
        if (AHEAD)                                                                               \
          for (int line = 0; line < BLOCK_BYTES + 32; line += 64)                                \
            __builtin_prefetch(w + (AHEAD) + h * BLOCK_BYTES + line, 0, 3);                      \
        v16i dot = DOT(w + 64 + h * BLOCK_BYTES, codes) - (v16i)((ZERO) * x->sums[b + h]);       \
        v16f scale = load16_half((const uint16_t *)(w + 32 * h)) * (v16f)x->scales[b + h];       \
        acc = fma16(to_float(dot), scale, acc);                                                  \
      }                                                                                          \
    }                                                                                            \
    return acc;                                                                                  \
  }

DENSE_ONE(dense_q4_one, Q4_TILE, 256, dot_q4, 8, 4608)
DENSE_ONE(dense_q8_one, Q8_TILE, 512, dot_q8, Q8_ZERO, 0)

// The blocks whose activations needed a second set of codes, after all others.
#define RESIDUAL(NAME, TILE, BLOCK_BYTES, DOT, ZERO)                                             \
  INLINE v16f NAME(const uint8_t *w, const ember_token_tile *x, size_t token, v16f acc) {        \
    for (size_t i = 0; i < x->residual_block_count; i++) {                                       \
      size_t b = x->residual_blocks[i], at = b * x->tokens + token;                              \
      if (x->residual_scales[at] == 0) continue;                                                 \
      const uint8_t *tile = w + b / 2 * TILE;                                                    \
      v16i dot = DOT(tile + 64 + b % 2 * BLOCK_BYTES, x->residual_codes + 32 * at)               \
        - (v16i)((ZERO) * x->residual_sums[at]);                                                 \
      v16f scale = load16_half((const uint16_t *)(tile + 32 * (b % 2)))                          \
        * (v16f)x->residual_scales[at];                                                          \
      acc = fma16(to_float(dot), scale, acc);                                                    \
    }                                                                                            \
    return acc;                                                                                  \
  }

RESIDUAL(residual_q4, Q4_TILE, 256, dot_q4, 8)
RESIDUAL(residual_q8, Q8_TILE, 512, dot_q8, Q8_ZERO)

#define MULTIPLY(NAME, ONE, MANY, REST, TILE)                                                    \
  static void NAME(ember_matrix m, const ember_token_tile *x, ember_output y, size_t first,      \
                   size_t count) {                                                               \
    for (size_t g = first; g < first + count; g++) {                                             \
      const uint8_t *w = m.data + g * m.group_stride;                                            \
      const uint8_t *steps = w + m.column_tiles * TILE;                                          \
      v16f sums[16];                                                                             \
      if (x->tokens == 1)                                                                        \
        sums[0] = ONE(w, x, m.column_tiles);                                                     \
      else                                                                                       \
        MANY(w, x, m.column_tiles, sums);                                                        \
      for (size_t t = 0; t < x->tokens; t++) {                                                   \
        v16f acc = REST(w, x, t, sums[t]);                                                       \
        acc = add_outliers(steps, m.outlier_steps, x->values + t * x->columns, acc);             \
        store_rows(y, m.rows, g, t, acc);                                                        \
      }                                                                                          \
    }                                                                                            \
  }

MULTIPLY(multiply_q4, dense_q4_one, dense_q4_tile, residual_q4, Q4_TILE)
MULTIPLY(multiply_q8, dense_q8_one, dense_q8_tile, residual_q8, Q8_TILE)

static void multiply_f16(ember_matrix m, const ember_token_tile *x, ember_output y, size_t first,
                         size_t count) {
  for (size_t g = first; g < first + count; g++) {
    const uint16_t *w = (const uint16_t *)(m.data + g * m.group_stride);
    for (size_t t = 0; t < x->tokens; t++) {
      const float *values = x->values + t * x->columns;
      v16f p0 = 0, p1 = 0, p2 = 0, p3 = 0;
      for (size_t c = 0; c < x->columns; c += 4) {
        p0 = fma16(load16_half(w + 16 * c), (v16f)values[c], p0);
        p1 = fma16(load16_half(w + 16 * c + 16), (v16f)values[c + 1], p1);
        p2 = fma16(load16_half(w + 16 * c + 32), (v16f)values[c + 2], p2);
        p3 = fma16(load16_half(w + 16 * c + 48), (v16f)values[c + 3], p3);
      }
      store_rows(y, m.rows, g, t, (p0 + p1) + (p2 + p3));
    }
  }
}

// Codes of one block of 32 values; returns how many lie in −4 ... 4.
INLINE int encode_block(v16f a, v16f b, int8_t *codes, float *scale, int32_t *sum) {
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
    *sum = 0;
    return 0;
  }
  v16f inverse = 127.0f / max;
  v16i qa = round_to_int(a * inverse), qb = round_to_int(b * inverse);
  v16c low = __builtin_convertvector(qa, v16c), high = __builtin_convertvector(qb, v16c);
  memcpy(codes, &low, 16);
  memcpy(codes + 16, &high, 16);
  *scale = max / 127.0f;
  *sum = __builtin_reduce_add(qa + qb);
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
      int few = encode_block(low, high, s.codes + 32 * at, s.scales + at, s.sums + at);
      s.residual_scales[at] = 0;
      if (few < 16) continue;
      v16f scale = -s.scales[at];
      low = fma16(scale, codes_as_float(s.codes + 32 * at), low);
      high = fma16(scale, codes_as_float(s.codes + 32 * at + 16), high);
      encode_block(low, high, s.residual_codes + 32 * at, s.residual_scales + at, s.residual_sums + at);
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

#define EMBER_KERNEL_TABLE                                                                       \
  {quantize, encode, multiply_q4, multiply_q8, multiply_f16, quantize_query, attend, attend_q8,  \
   join_attention, rms_norm, layer_norm, silu, gelu_tanh, multiply_elements, add_elements,       \
   exponentials, maximum}
