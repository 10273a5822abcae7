#include <string.h>

#include "ckernels.h"

// Every loop has as many independent chains of additions as hide the latency of its instructions
// (at most 6 cycles, at most two a cycle) and leave registers for two operands. OPAQUE makes the
// compiler forget what a register holds, at no cost: nothing is hoisted, shared or left out.
#define PEAK(NAME, INSTRUCTIONS, OPERATIONS) \
  static const ember_peak NAME##_peak = {INSTRUCTIONS, OPERATIONS, NAME}

#if defined(__x86_64__)

#include <immintrin.h>

#define OPAQUE(V) __asm__("" : "+x"(V))
// The 32 vector registers of AVX-512: "x" names only the first 16 of them.
#define OPAQUE512(V) __asm__("" : "+v"(V))

#define TARGET(FEATURES) __attribute__((target(FEATURES)))

// Runs BODY for each of COUNT sums per round and adds the sums up into `total`.
#define ROUNDS(COUNT, BODY)                                                                      \
  for (size_t r = 0; r < rounds; r++) {                                                          \
    _Pragma("clang loop unroll(full)") for (int i = 0; i < COUNT; i++) { BODY; }                 \
  }

TARGET("avx512f,avx512vnni")
static float int8_avx512vnni(size_t rounds) {
  __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(-2), sums[16];
  for (int i = 0; i < 16; i++) sums[i] = _mm512_setzero_si512();
  ROUNDS(16, OPAQUE512(sums[i]); sums[i] = _mm512_dpbusd_epi32(sums[i], a, b))
  for (int i = 1; i < 16; i++) sums[0] = _mm512_add_epi32(sums[0], sums[i]);
  return (float)_mm_cvtsi128_si32(_mm512_castsi512_si128(sums[0]));
}
PEAK(int8_avx512vnni, "vpdpbusd zmm", 16 * 128);

TARGET("avx512f")
static float f32_avx512(size_t rounds) {
  __m512 a = _mm512_set1_ps(1e-3f), b = _mm512_set1_ps(2e-3f), sums[16];
  for (int i = 0; i < 16; i++) sums[i] = _mm512_set1_ps(1);
  ROUNDS(16, OPAQUE512(sums[i]); sums[i] = _mm512_fmadd_ps(a, b, sums[i]))
  for (int i = 1; i < 16; i++) sums[0] = _mm512_add_ps(sums[0], sums[i]);
  return _mm_cvtss_f32(_mm512_castps512_ps128(sums[0]));
}
PEAK(f32_avx512, "vfmadd231ps zmm", 16 * 32);

TARGET("avx2,avxvnni")
static float int8_avxvnni(size_t rounds) {
  __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-2), sums[12];
  for (int i = 0; i < 12; i++) sums[i] = _mm256_setzero_si256();
  ROUNDS(12, OPAQUE(sums[i]); sums[i] = _mm256_dpbusd_avx_epi32(sums[i], a, b))
  for (int i = 1; i < 12; i++) sums[0] = _mm256_add_epi32(sums[0], sums[i]);
  return (float)_mm_cvtsi128_si32(_mm256_castsi256_si128(sums[0]));
}
PEAK(int8_avxvnni, "vpdpbusd ymm", 12 * 64);

// What 4-bit weights allow: eight products of pairs summed in 16 bits, then widened once.
TARGET("avx2")
static float int8_avx2(size_t rounds) {
  __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-2), ones = _mm256_set1_epi16(1), sums[4];
  for (int i = 0; i < 4; i++) sums[i] = _mm256_setzero_si256();
  for (size_t r = 0; r < rounds; r++) {
    __m256i narrow[4];
    for (int i = 0; i < 4; i++) narrow[i] = _mm256_setzero_si256();
    _Pragma("clang loop unroll(full)") for (int j = 0; j < 8; j++) {
      _Pragma("clang loop unroll(full)") for (int i = 0; i < 4; i++) {
        OPAQUE(a);
        narrow[i] = _mm256_add_epi16(narrow[i], _mm256_maddubs_epi16(a, b));
        OPAQUE(narrow[i]);
      }
    }
    for (int i = 0; i < 4; i++)
      sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(narrow[i], ones));
  }
  for (int i = 1; i < 4; i++) sums[0] = _mm256_add_epi32(sums[0], sums[i]);
  return (float)_mm_cvtsi128_si32(_mm256_castsi256_si128(sums[0]));
}
PEAK(int8_avx2, "8 vpmaddubsw, 7 vpaddw, vpmaddwd, vpaddd ymm", 4 * 8 * 64);

TARGET("avx2,fma")
static float f32_avx2(size_t rounds) {
  __m256 a = _mm256_set1_ps(1e-3f), b = _mm256_set1_ps(2e-3f), sums[12];
  for (int i = 0; i < 12; i++) sums[i] = _mm256_set1_ps(1);
  ROUNDS(12, OPAQUE(sums[i]); sums[i] = _mm256_fmadd_ps(a, b, sums[i]))
  for (int i = 1; i < 12; i++) sums[0] = _mm256_add_ps(sums[0], sums[i]);
  return _mm_cvtss_f32(_mm256_castps256_ps128(sums[0]));
}
PEAK(f32_avx2, "vfmadd231ps ymm", 12 * 16);

// Every x86-64: codes widened to 16 bits.
static float int8_sse2(size_t rounds) {
  __m128i a = _mm_set1_epi16(3), b = _mm_set1_epi16(-2), sums[8];
  for (int i = 0; i < 8; i++) sums[i] = _mm_setzero_si128();
  ROUNDS(8, OPAQUE(a); sums[i] = _mm_add_epi32(sums[i], _mm_madd_epi16(a, b)); OPAQUE(sums[i]))
  for (int i = 1; i < 8; i++) sums[0] = _mm_add_epi32(sums[0], sums[i]);
  return (float)_mm_cvtsi128_si32(sums[0]);
}
PEAK(int8_sse2, "pmaddwd, paddd xmm", 8 * 16);

static float f32_sse2(size_t rounds) {
  __m128 a = _mm_set1_ps(1e-3f), b = _mm_set1_ps(2e-3f), sums[8];
  for (int i = 0; i < 8; i++) sums[i] = _mm_set1_ps(1);
  ROUNDS(8, OPAQUE(a); sums[i] = _mm_add_ps(sums[i], _mm_mul_ps(a, b)); OPAQUE(sums[i]))
  for (int i = 1; i < 8; i++) sums[0] = _mm_add_ps(sums[0], sums[i]);
  return _mm_cvtss_f32(sums[0]);
}
PEAK(f32_sse2, "mulps, addps xmm", 8 * 8);

ember_peak ember_peak_int8(const char *kernels) {
  // Tables of their own set are named first; AVX2's must not get what the machine has beyond it.
  if (strcmp(kernels, "avx2") == 0) return int8_avx2_peak;
  if (strcmp(kernels, "avxvnni") == 0) return int8_avxvnni_peak;
  if (ember_supports_avx512vnni()) return int8_avx512vnni_peak;
  if (__builtin_cpu_supports("avxvnni") && ember_supports_avx2()) return int8_avxvnni_peak;
  return ember_supports_avx2() ? int8_avx2_peak : int8_sse2_peak;
}

ember_peak ember_peak_f32(const char *kernels) {
  int narrow = strcmp(kernels, "avx2") == 0 || strcmp(kernels, "avxvnni") == 0;
  if (!narrow && ember_supports_avx512vnni()) return f32_avx512_peak;
  return ember_supports_avx2() ? f32_avx2_peak : f32_sse2_peak;
}

#elif defined(__aarch64__)

#include <arm_neon.h>

#define OPAQUE(V) __asm__("" : "+w"(V))

// Twelve sums per round, four lanes each.
#define ROUNDS(BODY)                                                                             \
  for (size_t r = 0; r < rounds; r++) {                                                          \
    _Pragma("clang loop unroll(full)") for (int i = 0; i < 12; i++) { BODY; }                    \
  }                                                                                              \
  for (int i = 1; i < 12; i++) sums[0] += sums[i]

static float int8_neon(size_t rounds) {
  int8x16_t a = vdupq_n_s8(3), b = vdupq_n_s8(-2);
  int32x4_t sums[12] = {0};
  // Two products of 8 bits fit in 16: 2 · 127 · 127 is less than 2 to the 15th.
  ROUNDS(OPAQUE(a); sums[i] = vpadalq_s16(
      sums[i], vmlal_s8(vmull_s8(vget_low_s8(a), vget_low_s8(b)), vget_high_s8(a),
                        vget_high_s8(b))));
  return (float)sums[0][0];
}
PEAK(int8_neon, "smull, smlal2, sadalp", 12 * 32);

static float f32_neon(size_t rounds) {
  float32x4_t a = vdupq_n_f32(1e-3f), b = vdupq_n_f32(2e-3f), sums[12];
  for (int i = 0; i < 12; i++) sums[i] = vdupq_n_f32(1);
  ROUNDS(OPAQUE(sums[i]); sums[i] = vfmaq_f32(sums[i], a, b));
  return sums[0][0];
}
PEAK(f32_neon, "fmla", 12 * 8);

__attribute__((target("dotprod"))) static float int8_dotprod(size_t rounds) {
  int8x16_t a = vdupq_n_s8(3), b = vdupq_n_s8(-2);
  int32x4_t sums[12] = {0};
  ROUNDS(OPAQUE(sums[i]); sums[i] = vdotq_s32(sums[i], a, b));
  return (float)sums[0][0];
}
PEAK(int8_dotprod, "sdot", 12 * 32);

__attribute__((target("i8mm"))) static float int8_i8mm(size_t rounds) {
  int8x16_t a = vdupq_n_s8(3), b = vdupq_n_s8(-2);
  int32x4_t sums[12] = {0};
  ROUNDS(OPAQUE(sums[i]); sums[i] = vmmlaq_s32(sums[i], a, b));
  return (float)sums[0][0];
}
PEAK(int8_i8mm, "smmla", 12 * 64);

ember_peak ember_peak_int8(const char *kernels) {
  if (strcmp(kernels, "neon") == 0) return int8_neon_peak;
  if (strcmp(kernels, "neon-dotprod") == 0) return int8_dotprod_peak;
  if (ember_supports_neon_i8mm()) return int8_i8mm_peak;
  return ember_supports_neon_dotprod() ? int8_dotprod_peak : int8_neon_peak;
}

ember_peak ember_peak_f32(const char *kernels) {
  (void)kernels;
  return f32_neon_peak;
}

#endif
