// Sixteen-lane vectors, the same on every instruction set: a register with AVX-512, two with AVX2,
// four with NEON. Included by the kernel files inside their target attribute.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#pragma STDC FP_CONTRACT OFF
// Every function that takes a vector is inlined into its caller: no call, no calling convention.
#pragma clang diagnostic ignored "-Wpsabi"

#define INLINE static inline __attribute__((always_inline))
// Before a loop counted at compile time: only one that is unrolled keeps its sums in registers.
#define UNROLL _Pragma("clang loop unroll(full)")

typedef float v16f __attribute__((ext_vector_type(16)));
typedef float v8f __attribute__((ext_vector_type(8)));
typedef int32_t v16i __attribute__((ext_vector_type(16)));
typedef int8_t v16c __attribute__((ext_vector_type(16)));
typedef uint8_t v16b __attribute__((ext_vector_type(16)));

INLINE v16f load16(const float *p) {
  v16f v;
  memcpy(&v, p, sizeof v);
  return v;
}

INLINE void store16(float *p, v16f v) { memcpy(p, &v, sizeof v); }

// The first n values, zeros behind them.
INLINE v16f load_first(const float *p, size_t n) {
  v16f v = 0;
  memcpy(&v, p, n * sizeof(float));
  return v;
}

INLINE void store_first(float *p, v16f v, size_t n) { memcpy(p, &v, n * sizeof(float)); }

INLINE v16f fma16(v16f a, v16f b, v16f c) { return __builtin_elementwise_fma(a, b, c); }

INLINE v16f to_float(v16i v) { return __builtin_convertvector(v, v16f); }

INLINE v16f select16(v16i mask, v16f yes, v16f no) {
  return (v16f)(((v16i)yes & mask) | ((v16i)no & ~mask));
}

// Folded in halves: lane i with lane i + 8, then + 4, + 2, + 1. The order is part of every
// reduction's contract.
#define FOLD(NAME, COMBINE)                                                                      \
  INLINE float NAME(v16f v) {                                                                    \
    typedef float v8 __attribute__((ext_vector_type(8)));                                        \
    typedef float v4 __attribute__((ext_vector_type(4)));                                        \
    typedef float v2 __attribute__((ext_vector_type(2)));                                        \
    v8 eight = COMBINE(v.lo, v.hi);                                                              \
    v4 four = COMBINE(eight.lo, eight.hi);                                                       \
    v2 two = COMBINE(four.lo, four.hi);                                                          \
    return COMBINE(two.x, two.y);                                                                \
  }

#define PLUS(a, b) ((a) + (b))
FOLD(sum_of_lanes, PLUS)
FOLD(max_of_lanes, __builtin_elementwise_max)

// e^r for |r| ≤ ln 2 / 2.
INLINE v16f exp16_polynomial(v16f r) {
  v16f p = 1.9875691500e-4f;
  p = fma16(p, r, (v16f)1.3981999507e-3f);
  p = fma16(p, r, (v16f)8.3334519073e-3f);
  p = fma16(p, r, (v16f)4.1665795894e-2f);
  p = fma16(p, r, (v16f)1.6666665459e-1f);
  p = fma16(p, r, (v16f)5.0000001201e-1f);
  return fma16(p, r * r, r + (v16f)1.0f);
}

// e^x: x = n·ln 2 + r with |r| ≤ ln 2 / 2, a polynomial of degree 6 in r (Cephes, expf), scaled by
// 2^n. Relative error below 2e-7 for x in −87 ... 88; 0 below −87.3 (no subnormal results), the
// value at 88.72, which is finite, above that.
INLINE v16f exp16(v16f x) {
  const v16f low = -87.33654f, high = 88.72f;
  v16i tiny = x < low;
  x = select16(x > high, high, x);
  x = select16(tiny, low, x);
  // Adding and subtracting 1.5 · 2^23 rounds to the nearest integer, ties to even.
  const v16f round = 12582912.0f;
  v16f shifted = fma16(x, (v16f)1.44269504088896341f, round), n = shifted - round;
  v16f r = fma16(n, (v16f)-0.693359375f, x);
  r = fma16(n, (v16f)2.12194440e-4f, r);
  v16f p = exp16_polynomial(r);
  // n reaches 128 at the upper end: 2^n in two factors, so that neither overflows. n stands in the
  // low bits of the shifted sum; to convert it would be undefined in C for a NaN.
  v16i whole = (v16i)shifted - (v16i)round;
  v16i half = whole >> 1;
  v16f result = p * (v16f)((half + 127) << 23) * (v16f)((whole - half + 127) << 23);
  return select16(tiny, (v16f)0.0f, result);
}

// exp16 of what is not above 0, the same bits in fewer steps: no upper limit, and 2^n in one factor.
INLINE v16f exp16_of_negative(v16f x) {
  const v16f low = -87.33654f, round = 12582912.0f;
  v16i tiny = x < low;
  x = low > x ? low : x;  // a NaN stays
  v16f shifted = fma16(x, (v16f)1.44269504088896341f, round), n = shifted - round;
  v16f r = fma16(n, (v16f)-0.693359375f, x);
  r = fma16(n, (v16f)2.12194440e-4f, r);
  v16f p = exp16_polynomial(r);
  v16f power = (v16f)(((v16i)shifted - (v16i)round + 127) << 23);
  return (v16f)((v16i)(p * power) & ~tiny);
}

// tanh x, each sign apart: an odd polynomial of degree 11 below 0.625 (Cephes, tanhf), above it
// 1 − 2 / (e^2x + 1). Relative error below 3e-7; ±1 at the infinities, a NaN stays.
INLINE v16f tanh16(v16f x) {
  v16i sign = (v16i)x & INT32_MIN;
  v16f size = (v16f)((v16i)x & INT32_MAX), square = size * size;
  v16f p = -5.70498872745e-3f;
  p = fma16(p, square, (v16f)2.06390887954e-2f);
  p = fma16(p, square, (v16f)-5.37397155531e-2f);
  p = fma16(p, square, (v16f)1.33314422036e-1f);
  p = fma16(p, square, (v16f)-3.33332819422e-1f);
  v16f small = fma16(p * square, size, size);
  v16f large = (v16f)1.0f - (v16f)2.0f / (exp16(size + size) + (v16f)1.0f);
  return (v16f)((v16i)select16(size < (v16f)0.625f, small, large) | sign);
}

INLINE v16f soft_cap16(v16f x, float cap) { return (v16f)cap * tanh16(x / (v16f)cap); }

// x · Φ(x) = max(x, 0) − |x| · (1 − Φ(|x|)). 1 − Φ is half of erfc(|x| / √2), which is a polynomial
// in t = 1 / (1 + p · |x| / √2) times e^(−x² / 2) (Abramowitz and Stegun, 7.1.26: 1.5e-7 absolute).
INLINE v16f gelu16(v16f x) {
  const v16f far = 14.0f;  // e^(−14² / 2) is 0 in exp16, so an infinity is as good as this
  v16f size = (v16f)((v16i)x & INT32_MAX);
  size = select16(size > far, far, size);
  v16f t = (v16f)1.0f / fma16(size, (v16f)0.23164189f, (v16f)1.0f);
  v16f p = 1.061405429f;
  p = fma16(p, t, (v16f)-1.453152027f);
  p = fma16(p, t, (v16f)1.421413741f);
  p = fma16(p, t, (v16f)-0.284496736f);
  p = fma16(p, t, (v16f)0.254829592f);
  v16f tail = (p * t) * exp16_of_negative((size * (v16f)-0.5f) * size);
  v16f positive = select16(x > (v16f)0.0f, x, (v16f)0.0f);
  return positive - (size * (v16f)0.5f) * tail;
}

// What the codes of q4 take for 0, and bytes of a weight matrix's tiles, 16 rows × 64 columns
// (formats/model-file.md).
enum { Q4_ZERO = 8, Q4_TILE = 576, Q8_TILE = 1088, F16_TILE = 2048 };

// The block types with two levels of scales: a signed byte per row and 16 columns, a float per row.
// Their codes become unsigned bytes of 0 ... 64, value + zero point: q4n's by a table, those of q5
// and q6 from four bits and, behind all of a tile's four bits, planes of one or two more.
typedef enum { Q4N, Q5, Q6 } two_level;

enum { ROW_SCALES = 64 };  // bytes before the tiles of a row group

// How far ahead of the lines in use a single token's product asks for lines: on a Zen 3, 832 to
// 1152 bytes are about the same for all three types; with a tile of q4n (576) it is 4 % slower.
enum { TWO_LEVEL_AHEAD = 960 };

INLINE size_t two_level_tile(two_level type) { return type == Q4N ? 576 : type == Q5 ? 704 : 832; }
INLINE int32_t two_level_zero(two_level type) { return type == Q5 ? 16 : 32; }

// The line of block b's planes that holds the upper bits of line j.
INLINE const uint8_t *plane_line(two_level type, const uint8_t *tile, int b, int j) {
  return tile + 576 + (type == Q5 ? 64 * b : 128 * b + 64 * (j / 2));
}

// How far left (right where negative) they have to go to stand above the four lower bits, and what
// is to be kept of the result.
INLINE int plane_shift(two_level type, int j, int half) {
  return 4 - (type == Q5 ? 2 * j + half : 4 * (j % 2) + 2 * half);
}
INLINE int8_t plane_mask(two_level type) { return type == Q5 ? 0x10 : 0x30; }

static const uint8_t q4n_grid[16] = {EMBER_Q4N_GRID};

// Row groups that a single token's product takes at once, from as many stretches of the matrix: one
// stream from memory cannot fill the way to it (on a Zen 3 four read 1.5 times as fast as one, two
// 1.3 times, eight no faster), and long streams are better than many short ones. Their lines to
// come are asked for a tile ahead, one with each that is used: in bursts, or some and not others,
// is slower than not at all.
enum { STREAMS = 4 };
