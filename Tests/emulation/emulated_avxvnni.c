// The AVX-VNNI kernel file as it stands, its instructions beyond AVX2 written out in C. Its table
// gets another name: the same file compiled for the processor is linked beside it.
#if defined(__x86_64__)

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

// What Intel's Intrinsics Guide says of _mm256_dpbusd_avx_epi32: each 32-bit lane gains the products
// of its four unsigned bytes of `a` with the four signed ones of `b`.
__attribute__((target("avx2"))) static inline __m256i emulated_dpbusd(__m256i sum, __m256i a,
                                                                      __m256i b) {
  int32_t lanes[8];
  uint8_t codes[32];
  int8_t values[32];
  memcpy(lanes, &sum, sizeof lanes);
  memcpy(codes, &a, sizeof codes);
  memcpy(values, &b, sizeof values);
  for (int i = 0; i < 32; i++) lanes[i / 4] += codes[i] * values[i];
  memcpy(&sum, lanes, sizeof lanes);
  return sum;
}

// _mm256_dpwssd_avx_epi32: each 32-bit lane gains the products of its two signed 16-bit integers.
__attribute__((target("avx2"))) static inline __m256i emulated_dpwssd(__m256i sum, __m256i a,
                                                                      __m256i b) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}

#define _mm256_dpbusd_avx_epi32 emulated_dpbusd
#define _mm256_dpwssd_avx_epi32 emulated_dpwssd
#define ember_kernels_avxvnni ember_kernels_emulated_avxvnni
// The file asks for AVX-VNNI in its `#pragma clang attribute`, where macros are expanded.
#define target(features) target("avx2,fma,f16c")

#include "../../Sources/CKernels/kernels_avxvnni.c"

#endif
