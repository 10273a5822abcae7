// Compares the NEON kernels, bit for bit, with the AVX2 kernels. The two never meet in one process:
//   arm64 record FILE SEED        on x86-64, writes what the AVX2 kernels compute
//   arm64 compare FILE SEED KIND  on arm64, emulated or not, compares one table with the file
//   arm64 supported               on arm64, prints the kinds that this processor has
#include <stdlib.h>

#include "compare.h"
#include "recording.h"

static void compare_tables(const ember_kernels *expected, const ember_kernels *tested) {
  kernel_pair kernels = {expected, tested};
  print_groups = 0;
  compare_products(kernels);
  compare_encode(kernels);
  compare_attention(kernels);
  compare_elements(kernels);
  compare_selection(kernels);
  end_recording();
}

#if defined(__x86_64__)

int main(int count, char **arguments) {
  if (count != 4 || strcmp(arguments[1], "record") != 0) return 2;
  if (!ember_supports_avx2()) {
    printf("skipped: this processor has no AVX2, with which NEON is compared\n");
    return 77;
  }
  program_seed = strtoull(arguments[3], NULL, 10);
  start_recording(arguments[2]);
  compare_tables(&ember_kernels_avx2, &ember_kernels_avx2);
  return 0;
}

#else

static int yes(void) { return 1; }

static const struct {
  const char *name;
  const ember_kernels *table;
  int32_t (*supported)(void);
} kinds[] = {
  {"neon", &ember_kernels_neon, yes},
  {"neon-dotprod", &ember_kernels_neon_dotprod, ember_supports_neon_dotprod},
  {"neon-i8mm", &ember_kernels_neon_i8mm, ember_supports_neon_i8mm},
};

static void print_supported(void) {
  for (size_t i = 0; i < LENGTH(kinds); i++)
    if (kinds[i].supported()) printf("%s%s", i > 0 ? " " : "", kinds[i].name);
  printf("\n");
}

int main(int count, char **arguments) {
  if (count == 2 && strcmp(arguments[1], "supported") == 0) {
    print_supported();
    return 0;
  }
  if (count != 5 || strcmp(arguments[1], "compare") != 0) return 2;
  program_seed = strtoull(arguments[3], NULL, 10);
  for (size_t i = 0; i < LENGTH(kinds); i++) {
    if (strcmp(arguments[4], kinds[i].name) != 0) continue;
    if (!kinds[i].supported()) {
      fprintf(stderr, "%s: not found on this processor\n", kinds[i].name);
      return 1;
    }
    start_replaying(arguments[2]);
    compare_tables(&recorded_kernels, kinds[i].table);
    printf("passed: %s gives the bits of AVX2 in %zu cases\n", kinds[i].name, total_cases);
    return 0;
  }
  return 2;
}

#endif
