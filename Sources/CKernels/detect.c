#include "ckernels.h"

#if defined(__x86_64__)

// __builtin_cpu_supports asks cpuid and xgetbv, so it also knows what the operating system saves.
int32_t ember_supports_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
    && __builtin_cpu_supports("f16c");
}

int32_t ember_supports_avx512vnni(void) {
  return ember_supports_avx2() && __builtin_cpu_supports("avx512f")
    && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
    && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}

#else

int32_t ember_supports_avx2(void) { return 0; }
int32_t ember_supports_avx512vnni(void) { return 0; }

#endif
