// Compares the kernels of newer x86-64 processors, bit for bit, with the AVX2 kernels, which the
// Swift tests hold against the scalar reference: emulated everywhere, and as they are where the
// processor has the instructions.
#include <stdlib.h>
#include <string.h>

#include "compare.h"

#ifdef WITH_AVX512
extern const ember_kernels ember_kernels_emulated_avx512vnni;
#endif
extern const ember_kernels ember_kernels_emulated_avxvnni;

static void compare_tables(const char *name, const ember_kernels *emulated,
                           const ember_kernels *native) {
  size_t before = total_cases;
  const ember_kernels *tables[2] = {emulated, native};
  for (int i = 0; i < 2 && tables[i]; i++) {
    printf("%s %s, against AVX2, seed %llu\n", name, i ? "of this processor" : "emulated",
           (unsigned long long)program_seed);
    kernel_pair kernels = {&ember_kernels_avx2, tables[i]};
    compare_products(kernels);
    compare_encode(kernels);
    compare_attention(kernels);
    compare_elements(kernels);
    compare_selection(kernels);
  }
  printf("passed: %s gives the bits of AVX2 in %zu cases (%s)\n", name, total_cases - before,
         native ? "emulated and native" : "emulated: this processor cannot run it natively");
}

int main(int count, char **arguments) {
  if (count > 1) program_seed = strtoull(arguments[1], NULL, 10);
  if (!ember_supports_avx2()) {
    printf("skipped: this processor has no AVX2, with which its successors are compared\n");
    return 77;
  }
  compare_tables("AVX-VNNI", &ember_kernels_emulated_avxvnni,
                 ember_supports_avxvnni() ? &ember_kernels_avxvnni : NULL);
#ifdef WITH_AVX512
  compare_tables("AVX-512", &ember_kernels_emulated_avx512vnni,
                 ember_supports_avx512vnni() ? &ember_kernels_avx512vnni : NULL);
#endif
  return 0;
}
