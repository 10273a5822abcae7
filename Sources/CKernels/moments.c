#include "ember_moments.h"

#if defined(__x86_64__)

#include <immintrin.h>

// Without FMA: a fused product would round once where the portable loop rounds twice. It costs
// nothing where multipliers and adders are separate units (Zen), and half the speed elsewhere.
#define TARGET __attribute__((target("avx2")))

TARGET static inline void add(double *block, __m256 sums) {
  __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(sums));
  __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(sums, 1));
  _mm256_storeu_pd(block, _mm256_add_pd(_mm256_loadu_pd(block), low));
  _mm256_storeu_pd(block + 4, _mm256_add_pd(_mm256_loadu_pd(block + 4), high));
}

TARGET void ember_moment_block_avx2(
    const float *left, const float *right, size_t tokens, double *block) {
  // Four rows at once: eight sums hide the latency of the additions, and two vectors of the right
  // panel and a broadcast fit beside them.
  for (size_t row = 0; row < 16; row += 4) {
    __m256 sums[4][2];
    for (int i = 0; i < 4; i++) sums[i][0] = sums[i][1] = _mm256_setzero_ps();
    for (size_t t = 0; t < tokens; t++) {
      __m256 low = _mm256_loadu_ps(right + 16 * t);
      __m256 high = _mm256_loadu_ps(right + 16 * t + 8);
      for (int i = 0; i < 4; i++) {
        __m256 x = _mm256_broadcast_ss(left + 16 * t + row + i);
        sums[i][0] = _mm256_add_ps(sums[i][0], _mm256_mul_ps(x, low));
        sums[i][1] = _mm256_add_ps(sums[i][1], _mm256_mul_ps(x, high));
      }
    }
    for (int i = 0; i < 4; i++) {
      add(block + (row + i) * 16, sums[i][0]);
      add(block + (row + i) * 16 + 8, sums[i][1]);
    }
  }
}

#else

void ember_moment_block_avx2(
    const float *left, const float *right, size_t tokens, double *block) {
  (void)left, (void)right, (void)tokens, (void)block;
}

#endif
