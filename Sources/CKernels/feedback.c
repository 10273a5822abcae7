#include "ember_feedback.h"

#if defined(__x86_64__)

#include <immintrin.h>

// Without FMA, as in moments.c: a fused product would round once where the portable loop rounds
// twice.
#define TARGET __attribute__((target("avx2")))

TARGET void ember_factor_tile_avx2(const double *a, const double *b, double *c) {
  // Four rows of eight at once: eight sums hide the latency of the subtractions.
  for (size_t right = 0; right < 8; right++) {
    for (size_t row = 0; row < 64; row += 4) {
      const double *left = a + row / 8 * 512 + row % 8;
      const double *panel = b + right * 512;
      double *target = c + right * 512 + row * 8;
      __m256d sums[4][2];
      for (int i = 0; i < 4; i++) {
        sums[i][0] = _mm256_loadu_pd(target + 8 * i);
        sums[i][1] = _mm256_loadu_pd(target + 8 * i + 4);
      }
      for (size_t k = 0; k < 64; k++) {
        __m256d low = _mm256_loadu_pd(panel + 8 * k);
        __m256d high = _mm256_loadu_pd(panel + 8 * k + 4);
        for (int i = 0; i < 4; i++) {
          __m256d x = _mm256_broadcast_sd(left + 8 * k + i);
          sums[i][0] = _mm256_sub_pd(sums[i][0], _mm256_mul_pd(x, low));
          sums[i][1] = _mm256_sub_pd(sums[i][1], _mm256_mul_pd(x, high));
        }
      }
      for (int i = 0; i < 4; i++) {
        _mm256_storeu_pd(target + 8 * i, sums[i][0]);
        _mm256_storeu_pd(target + 8 * i + 4, sums[i][1]);
      }
    }
  }
}

TARGET void ember_feedback_tile_avx2(
    const float *factor, const float *errors, const uint32_t *columns, float *weights) {
  for (size_t column = 0; column < 64; column += 4) {
    // The next tile of the row follows in memory; behind the last one a prefetch does nothing.
    uintptr_t next = (uintptr_t)factor + 4 * (4096 + 64 * column);
    for (uintptr_t i = 0; i < 16; i++) _mm_prefetch((const char *)(next + 64 * i), _MM_HINT_T0);
    __m256 sums[4][2];
    for (int i = 0; i < 4; i++) {
      const float *target = weights + 16 * (size_t)columns[column + i];
      sums[i][0] = _mm256_loadu_ps(target);
      sums[i][1] = _mm256_loadu_ps(target + 8);
    }
    for (size_t r = 0; r < 64; r++) {
      __m256 low = _mm256_loadu_ps(errors + 16 * r);
      __m256 high = _mm256_loadu_ps(errors + 16 * r + 8);
      for (int i = 0; i < 4; i++) {
        __m256 x = _mm256_broadcast_ss(factor + 64 * r + column + i);
        sums[i][0] = _mm256_sub_ps(sums[i][0], _mm256_mul_ps(x, low));
        sums[i][1] = _mm256_sub_ps(sums[i][1], _mm256_mul_ps(x, high));
      }
    }
    for (int i = 0; i < 4; i++) {
      float *target = weights + 16 * (size_t)columns[column + i];
      _mm256_storeu_ps(target, sums[i][0]);
      _mm256_storeu_ps(target + 8, sums[i][1]);
    }
  }
}

#else

void ember_factor_tile_avx2(const double *a, const double *b, double *c) {
  (void)a, (void)b, (void)c;
}

void ember_feedback_tile_avx2(
    const float *factor, const float *errors, const uint32_t *columns, float *weights) {
  (void)factor, (void)errors, (void)columns, (void)weights;
}

#endif
