// Stands in for the compiler's <immintrin.h>: AVX-512 intrinsics in portable C, from SIMD
// Everywhere (Debian's libsimde-dev), under their own names.
#ifndef EMBER_EMULATED_IMMINTRIN_H
#define EMBER_EMULATED_IMMINTRIN_H

#define SIMDE_ENABLE_NATIVE_ALIASES
#define SIMDE_NO_NATIVE  // no intrinsic of the processor underneath: nothing but C
#include <simde/x86/avx512.h>

// What SIMDe 0.7.4 lacks, written from the operations in Intel's Intrinsics Guide. A newer SIMDe
// that has one of them keeps its own.
#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float emulated_half(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, part = half & 1023;
  uint32_t bits;
  if (exponent == 31) {
    // An infinity, or a NaN made quiet.
    bits = sign | 0x7F800000 | part << 13 | (part ? 0x00400000 : 0);
  } else if (exponent == 0) {
    // Zero or subnormal: part · 2^-24 is exact.
    float value = (float)part * 0x1p-24f;
    memcpy(&bits, &value, 4);
    bits |= sign;
  } else {
    bits = sign | (exponent + 112) << 23 | part << 13;
  }
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

#ifndef _mm512_cvtph_ps
static inline __m512 emulated_cvtph_ps(__m256i a) {
  uint16_t halves[16];
  float floats[16];
  memcpy(halves, &a, sizeof halves);
  for (int i = 0; i < 16; i++) floats[i] = emulated_half(halves[i]);
  __m512 result;
  memcpy(&result, floats, sizeof result);
  return result;
}
#define _mm512_cvtph_ps(a) emulated_cvtph_ps(a)
#endif

#ifndef _mm512_cvtps_epi32
// Nearest even, which is how every thread starts; the "integer indefinite" where no int32 fits.
static inline __m512i emulated_cvtps_epi32(__m512 a) {
  float floats[16];
  int32_t whole[16];
  memcpy(floats, &a, sizeof floats);
  for (int i = 0; i < 16; i++) {
    float rounded = nearbyintf(floats[i]);
    whole[i] = rounded >= -0x1p31f && rounded < 0x1p31f ? (int32_t)rounded : INT32_MIN;
  }
  __m512i result;
  memcpy(&result, whole, sizeof result);
  return result;
}
#define _mm512_cvtps_epi32(a) emulated_cvtps_epi32(a)
#endif

#ifndef _mm512_srai_epi32
// Shifts in the sign; a count above 31 leaves nothing else.
static inline __m512i emulated_srai_epi32(__m512i a, unsigned int count) {
  int32_t lanes[16];
  memcpy(lanes, &a, sizeof lanes);
  for (int i = 0; i < 16; i++) lanes[i] >>= count > 31 ? 31 : count;
  __m512i result;
  memcpy(&result, lanes, sizeof result);
  return result;
}
#define _mm512_srai_epi32(a, count) emulated_srai_epi32(a, count)
#endif

#endif
