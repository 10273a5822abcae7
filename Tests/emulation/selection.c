// Selection among logits: every kernel over lengths, contents and ranges of keys.
#include "compare.h"

typedef enum {
  ORDINARY, TIES, EQUAL, ASCENDING, DESCENDING, FORBIDDEN, EXTREME, CONTENT_COUNT
} content;
static const char *const content_names[] = {"ordinary",   "ties",      "equal",  "ascending",
                                            "descending", "forbidden", "extreme"};

// Lengths 0 ... 69, then a few long ones.
static const size_t long_lengths[] = {128, 172, 255, 1000, 2048};
enum { LENGTHS = 70 + LENGTH(long_lengths) };
static size_t length_at(size_t i) { return i < 70 ? i : long_lengths[i - 70]; }

static float random_logit(content kind, size_t i, float same) {
  switch (kind) {
  case TIES: return (float)random_below(5) - 2;
  case EQUAL: return same;
  case ASCENDING: return (float)i / 8 - 3;
  case DESCENDING: return 3 - (float)i / 8;
  case FORBIDDEN: return one_in(2) ? -INFINITY : normal();
  case EXTREME: {
    float x = extreme_float();
    return x != x ? 0.0f : x;
  }
  default: return 3 * normal();
  }
}

static float *random_logits(content kind, size_t n) {
  float *x = room(n * sizeof(float), 4 * random_below(4));
  float same = 3 * normal();
  for (size_t i = 0; i < n; i++) x[i] = random_logit(kind, i, same);
  return x;
}

// Weights as sampling has them: 0 ... 1, the ends and what rounds to half a unit too.
static float *random_weights(size_t n) {
  static const float special[] = {0.0f, 1.0f, 0x1p-37f, 0x1.8p-36f, 0x1p-36f, 0x1p-126f, 0x1p-149f};
  float *w = room(n * sizeof(float), 4 * random_below(4));
  for (size_t i = 0; i < n; i++)
    w[i] = one_in(4) ? special[random_below(LENGTH(special))] : uniform(0, 1);
  return w;
}

static uint32_t key(float x) {
  float sum = x + 0.0f;
  uint32_t bits;
  memcpy(&bits, &sum, 4);
  return bits >> 31 ? ~bits : bits ^ 0x80000000u;
}

// The key of one of the values, or any.
static uint32_t random_key(const float *x, size_t n) {
  return n == 0 || one_in(8) ? (uint32_t)random_bits() : key(x[random_below(n)]);
}

static void begin(const char *name, size_t n, content kind) {
  begin_case("%s, %zu values, content %s", name, n, content_names[kind]);
}

#define FOR_EACH(NAME)                                                                           \
  for (size_t i = 0; i < LENGTHS; i++)                                                           \
    for (content kind = 0; kind < CONTENT_COUNT; kind++)                                         \
      for (size_t again = 0, n = (begin(NAME, length_at(i), kind), length_at(i)); again < 4;     \
           again++)

static void compare_extremes(kernel_pair kernels) {
  FOR_EACH("extremes") {
    float *x = random_logits(kind, n);
    if (n > 0 && again > 1) x[random_below(n)] = again == 2 ? INFINITY : __builtin_nanf("");
    float expected[2], got[2];
    int32_t expected_below = kernels.expected->extremes(x, n, expected, expected + 1);
    int32_t below = kernels.tested->extremes(x, n, got, got + 1);
    same_bytes("all below infinity", &expected_below, &below, sizeof below);
    for (size_t j = 0; j < 2; j++) {
      // A zero may have either sign; with values that are no numbers they mean nothing.
      expected[j] = expected_below ? expected[j] + 0.0f : 0;
      got[j] = expected_below ? got[j] + 0.0f : 0;
    }
    same_floats("extremes", expected, got, 2);
  }
  end_group("extremes");
}

static void compare_select(kernel_pair kernels) {
  FOR_EACH("select_keys") {
    float *x = random_logits(kind, n), *expected = room(n * sizeof(float), 0);
    float *got = again == 3 ? copy_of(x, n * sizeof(float), 4) : room(n * sizeof(float), 4);
    int32_t *ids = room(n * sizeof(int32_t), 4 * random_below(4));
    for (size_t j = 0; j < n; j++) ids[j] = (int32_t)random_bits();
    int32_t *expected_ids = room(n * sizeof(int32_t), 0);
    int32_t *got_ids = again == 3 ? copy_of(ids, n * sizeof(int32_t), 8)
                                  : room(n * sizeof(int32_t), 8);
    uint32_t lowest = random_key(x, n), highest = one_in(3) ? UINT32_MAX : random_key(x, n);
    int32_t first = (int32_t)random_below(1 << 20);
    size_t count = kernels.expected->select_keys(x, again > 1 ? ids : NULL, first, n, lowest,
                                                 highest, expected_ids, expected);
    // The last time in place.
    size_t got_count = kernels.tested->select_keys(
      again == 3 ? got : x, again == 3 ? got_ids : again == 2 ? ids : NULL, first, n, lowest,
      highest, got_ids, got);
    same_bytes("count", &count, &got_count, sizeof count);
    same_bytes("ids", expected_ids, got_ids, got_count * sizeof(int32_t));
    same_floats("values", expected, got, got_count);
  }
  end_group("select_keys");
}

static void compare_weights(kernel_pair kernels) {
  FOR_EACH("drop_below") {
    float *x = random_logits(kind, n), *expected = random_weights(n);
    float *got = copy_of(expected, n * sizeof(float), 4 * again);
    float limit = n == 0 || again == 3 ? extreme_float() : x[random_below(n)];
    kernels.expected->drop_below(expected, x, limit, n);
    kernels.tested->drop_below(got, x, limit, n);
    same_floats("weights", expected, got, n);
  }
  end_group("drop_below");
  FOR_EACH("sum_units") {
    float *weights = random_weights(n);
    uint64_t expected = kernels.expected->sum_units(weights, n);
    uint64_t got = kernels.tested->sum_units(weights, n);
    same_bytes("sum", &expected, &got, sizeof got);
  }
  end_group("sum_units");
  FOR_EACH("count_keys") {
    float *x = random_logits(kind, n), *weights = again % 2 ? random_weights(n) : NULL;
    size_t bytes = 4 * EMBER_SELECTION_BINS * sizeof(uint64_t);
    uint64_t *expected = room(bytes, 0), *got = room(bytes, 8);
    uint32_t lowest = random_key(x, n), shift = (uint32_t)random_below(32);
    kernels.expected->count_keys(x, weights, n, lowest, shift, expected);
    kernels.tested->count_keys(x, weights, n, lowest, shift, got);
    same_bytes("bins", expected, got, bytes);
  }
  end_group("count_keys");
}

void compare_selection(kernel_pair kernels) {
  compare_extremes(kernels);
  compare_select(kernels);
  compare_weights(kernels);
}
