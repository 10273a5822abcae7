#include "ckernels.h"

#if defined(__x86_64__)

// __builtin_cpu_supports asks cpuid and xgetbv, so it also knows what the operating system saves.
int32_t ember_supports_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
    && __builtin_cpu_supports("f16c");
}

int32_t ember_supports_avxvnni(void) {
  return ember_supports_avx2() && __builtin_cpu_supports("avxvnni");
}

int32_t ember_supports_avx512vnni(void) {
  return ember_supports_avx2() && __builtin_cpu_supports("avx512f")
    && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
    && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}

#else

int32_t ember_supports_avx2(void) { return 0; }
int32_t ember_supports_avxvnni(void) { return 0; }
int32_t ember_supports_avx512vnni(void) { return 0; }

#endif

#if defined(__aarch64__) && defined(__linux__)

#include <sys/auxv.h>

// Bits of the kernel's asm/hwcap.h, which a C library's headers may not know yet. The kernel sets
// them where every processor of the machine has the instructions.
enum { DOT_PRODUCT = 1 << 20, INT8_MATRIX_PRODUCT = 1 << 13 };

int32_t ember_supports_neon_dotprod(void) { return (getauxval(AT_HWCAP) & DOT_PRODUCT) != 0; }

int32_t ember_supports_neon_i8mm(void) {
  return ember_supports_neon_dotprod() && (getauxval(AT_HWCAP2) & INT8_MATRIX_PRODUCT) != 0;
}

#elif defined(__aarch64__) && defined(__APPLE__)

#include <sys/sysctl.h>

static int32_t has_feature(const char *name) {
  int32_t value = 0;
  size_t size = sizeof value;
  // An unknown name is an error: the system is older than the feature.
  return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value != 0;
}

int32_t ember_supports_neon_dotprod(void) { return has_feature("hw.optional.arm.FEAT_DotProd"); }

int32_t ember_supports_neon_i8mm(void) {
  return ember_supports_neon_dotprod() && has_feature("hw.optional.arm.FEAT_I8MM");
}

#else

int32_t ember_supports_neon_dotprod(void) { return 0; }
int32_t ember_supports_neon_i8mm(void) { return 0; }

#endif
