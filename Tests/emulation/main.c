// Compares the AVX-512 kernels, bit for bit, with the AVX2 kernels, which the Swift tests hold
// against the scalar reference: emulated everywhere, and as they are where the processor has
// AVX-512 with VNNI.
#include <stdlib.h>

#include "compare.h"

extern const ember_kernels ember_kernels_emulated;

static void compare_tables(const ember_kernels *tested) {
  kernel_pair kernels = {&ember_kernels_avx2, tested};
  compare_products(kernels);
  compare_encode(kernels);
  compare_attention(kernels);
  compare_elements(kernels);
}

int main(int count, char **arguments) {
  if (count > 1) program_seed = strtoull(arguments[1], NULL, 10);
  if (!ember_supports_avx2()) {
    printf("skipped: this processor has no AVX2, with which AVX-512 is compared\n");
    return 77;
  }
  printf("AVX-512 emulated, against AVX2, seed %llu\n", (unsigned long long)program_seed);
  compare_tables(&ember_kernels_emulated);
  const char *native = "this processor has no AVX-512 to run it natively";
  if (ember_supports_avx512vnni()) {
    printf("AVX-512 of this processor, against AVX2\n");
    compare_tables(&ember_kernels_avx512vnni);
    native = "emulated and native";
  }
  printf("passed: AVX-512 gives the bits of AVX2 in %zu cases (%s)\n", total_cases, native);
  return 0;
}
