#include "compare.h"

#include <stdarg.h>
#include <stdlib.h>

#include "recording.h"

uint64_t program_seed = 1;
size_t total_cases = 0;
int print_groups = 1;

static size_t group_cases = 0;
static char description[256] = "";
static uint64_t state;

void begin_case(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(description, sizeof description, format, arguments);
  va_end(arguments);
  state = program_seed * 0x9E3779B97F4A7C15u + total_cases;
  group_cases++;
  total_cases++;
  give_back_rooms();
}

const char *case_description(void) { return description; }

void end_group(const char *name) {
  if (print_groups) printf("ok: %s, %zu cases\n", name, group_cases);
  fflush(stdout);
  group_cases = 0;
}

static _Noreturn void fail(const char *what, const char *difference) {
  fflush(stdout);
  fprintf(stderr, "mismatch: %s, %s: %s (case %zu of seed %llu)\n", description, what, difference,
          total_cases - 1, (unsigned long long)program_seed);
  exit(1);
}

// SplitMix64.
uint64_t random_bits(void) {
  state += 0x9E3779B97F4A7C15u;
  uint64_t z = state;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

size_t random_below(size_t limit) { return (size_t)(random_bits() % limit); }
int one_in(size_t n) { return random_below(n) == 0; }

float uniform(float low, float high) {
  return low + (high - low) * (float)(random_bits() >> 40) * 0x1p-24f;
}

float normal(void) {
  uint64_t bits[2] = {random_bits(), random_bits()};
  float sum = 0;
  for (int i = 0; i < 8; i++) sum += (float)(bits[i / 4] >> 16 * (i % 4) & 0xFFFF) * 0x1p-16f;
  return (sum - 4.0f) * 1.2247f;
}

uint16_t half_bits(float value) {
  _Float16 half = (_Float16)value;
  uint16_t bits;
  memcpy(&bits, &half, 2);
  return bits;
}

uint16_t random_half(void) { return (uint16_t)random_bits(); }

float extreme_float(void) {
  static const float values[] = {
    0.0f, -0.0f, 1e-45f, -1e-40f, 1.17549435e-38f, 1e-30f, -1e-30f, 1e-31f, 2e-30f, 1.0f, -87.0f,
    -87.4f, 88.7f, 88.8f, -104.0f, 1e10f, 1e20f, -1e30f, 3.4028235e38f, -3.4028235e38f, INFINITY,
    -INFINITY, NAN, -NAN,
  };
  return values[random_below(LENGTH(values))];
}

void same_bytes(const char *what, void *expected, const void *got, size_t bytes) {
  record_or_replay(expected, bytes);
  if (memcmp(expected, got, bytes) == 0) return;
  const uint8_t *e = expected, *g = got;
  size_t i = 0;
  while (e[i] == g[i]) i++;
  char text[100];
  snprintf(text, sizeof text, "byte %zu is %u, expected %u", i, g[i], e[i]);
  fail(what, text);
}

void same_floats(const char *what, float *expected, const float *got, size_t count) {
  record_or_replay(expected, count * sizeof(float));
  if (memcmp(expected, got, count * sizeof(float)) == 0) return;
  for (size_t i = 0; i < count; i++) {
    if (memcmp(expected + i, got + i, sizeof(float)) == 0) continue;
    if (isnan(expected[i]) && isnan(got[i])) continue;
    char text[100];
    snprintf(text, sizeof text, "value %zu is %a, expected %a", i, (double)got[i],
             (double)expected[i]);
    fail(what, text);
  }
}
