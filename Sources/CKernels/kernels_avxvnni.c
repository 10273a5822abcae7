// AVX-VNNI, 256 bits: Alder Lake and its successors, which have no AVX-512; Zen 5.
#if defined(__x86_64__)

#pragma clang attribute push(__attribute__((target("avxvnni,avx2,fma,f16c"))), apply_to = function)

#include <immintrin.h>

#include "ckernels.h"
#include "vectors.h"

// Codes are unsigned; the zero point is taken out before the first product.
INLINE __m256i begin_q4(int32_t sum) { return _mm256_set1_epi32(-8 * sum); }
INLINE __m256i begin_q8(int32_t sum) { return _mm256_set1_epi32(-128 * sum); }

INLINE __m256i add_q4(__m256i acc, __m256i w, __m256i x) {
  return _mm256_dpbusd_avx_epi32(acc, w, x);
}

INLINE __m256i add_q8(__m256i acc, __m256i w, __m256i x) {
  return _mm256_dpbusd_avx_epi32(acc, w, x);
}

INLINE __m256i end_q4(__m256i acc, int32_t sum) {
  (void)sum;
  return acc;
}

INLINE __m256i end_q8(__m256i acc, int32_t sum) {
  (void)sum;
  return acc;
}

enum { Q8_ZERO = 128 };

INLINE __m256i add_pairs(__m256i acc, __m256i sums, __m256i scales) {
  return _mm256_dpwssd_avx_epi32(acc, sums, scales);
}

#include "avx.h"
#include "avx_two_level.h"
#include "kernels_common.h"

const ember_kernels ember_kernels_avxvnni = EMBER_KERNEL_TABLE;

#pragma clang attribute pop

#endif
