// AVX2 with FMA and F16C: any x86-64 since 2013 (Haswell, Zen).
#if defined(__x86_64__)

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#include <immintrin.h>

#include "ckernels.h"
#include "vectors.h"

// Pairs of 16-bit sums become one 32-bit sum per row.
INLINE __m256i pairs(__m256i v) { return _mm256_madd_epi16(v, _mm256_set1_epi16(1)); }

// The sums of a q4 block stay in 16 bits. Each of the eight additions is at most
// 15 · 127 · 2 = 3,810 in size, their sum at most 30,480: no saturation.
INLINE __m256i begin_q4(int32_t sum) {
  (void)sum;
  return _mm256_setzero_si256();
}

INLINE __m256i add_q4(__m256i acc, __m256i w, __m256i x) {
  return _mm256_add_epi16(acc, _mm256_maddubs_epi16(w, x));
}

INLINE __m256i end_q4(__m256i acc, int32_t sum) {
  return _mm256_sub_epi32(pairs(acc), _mm256_slli_epi32(_mm256_set1_epi32(sum), 3));
}

// q8 weights are taken as signed, q = code − 128: the zero point is out of their sums already.
enum { Q8_ZERO = 0 };

INLINE __m256i begin_q8(int32_t sum) {
  (void)sum;
  return _mm256_setzero_si256();
}

// |q| · (x with q's sign), each pair at most 128 · 127 · 2 = 32,512 (writers use no code 0, a file
// may), then summed in 32 bits.
INLINE __m256i add_q8(__m256i acc, __m256i w, __m256i x) {
  __m256i q = _mm256_xor_si256(w, _mm256_set1_epi8((char)0x80));
  __m256i products = _mm256_maddubs_epi16(_mm256_abs_epi8(q), _mm256_sign_epi8(x, q));
  return _mm256_add_epi32(acc, pairs(products));
}

INLINE __m256i end_q8(__m256i acc, int32_t sum) {
  (void)sum;
  return acc;
}

INLINE __m256i add_pairs(__m256i acc, __m256i sums, __m256i scales) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(sums, scales));
}

#include "avx.h"
#include "avx_two_level.h"
#include "kernels_common.h"

const ember_kernels ember_kernels_avx2 = EMBER_KERNEL_TABLE;

#pragma clang attribute pop

#endif
