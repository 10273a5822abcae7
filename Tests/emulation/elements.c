// Norms, activation functions, element-wise operations and reductions over lengths.
#include "compare.h"

typedef enum { ORDINARY, WIDE, EXTREME, EQUAL, CONTENT_COUNT } content;
static const char *const content_names[] = {"ordinary", "wide", "extreme", "equal"};

// Lengths 1 ... 70, then a few long ones.
static const size_t long_lengths[] = {128, 172, 255, 256, 1000, 2048};
enum { LENGTHS = 70 + LENGTH(long_lengths) };
static size_t length_at(size_t i) { return i < 70 ? i + 1 : long_lengths[i - 70]; }

static float *random_floats(content kind, size_t n) {
  float *x = room(n * sizeof(float), 4 * random_below(4));
  float same = 3 * normal();
  for (size_t i = 0; i < n; i++) {
    switch (kind) {
    case WIDE: x[i] = uniform(-120, 120); break;
    case EXTREME: x[i] = one_in(4) ? extreme_float() : normal(); break;
    case EQUAL: x[i] = same; break;
    default: x[i] = 3 * normal(); break;
    }
  }
  return x;
}

static void begin(const char *name, size_t n, content kind) {
  begin_case("%s, %zu values, content %s", name, n, content_names[kind]);
}

#define FOR_EACH(NAME)                                                                           \
  for (size_t i = 0; i < LENGTHS; i++)                                                           \
    for (content kind = 0; kind < CONTENT_COUNT; kind++)                                         \
      for (size_t again = 0, n = (begin(NAME, length_at(i), kind), length_at(i)); again < 4;     \
           again++)

static void compare_norms(kernel_pair kernels) {
  static const float epsilons[] = {1e-5f, 1e-6f, 0.0f, 1.0f};
  FOR_EACH("rms_norm") {
    float *x = random_floats(kind, n), *gain = random_floats(ORDINARY, n);
    float *expected = room(n * sizeof(float), 0), *got = room(n * sizeof(float), 4);
    kernels.expected->rms_norm(x, gain, epsilons[again], n, expected);
    kernels.tested->rms_norm(x, gain, epsilons[again], n, got);
    same_floats("output", expected, got, n);
  }
  end_group("rms_norm");
  FOR_EACH("layer_norm") {
    float *x = random_floats(kind, n), *gain = random_floats(ORDINARY, n);
    float *bias = again % 2 ? random_floats(ORDINARY, n) : NULL;
    float *expected = room(n * sizeof(float), 0), *got = room(n * sizeof(float), 4);
    kernels.expected->layer_norm(x, gain, bias, epsilons[again], n, expected);
    kernels.tested->layer_norm(x, gain, bias, epsilons[again], n, got);
    same_floats("output", expected, got, n);
  }
  end_group("layer_norm");
}

#define IN_PLACE(NAME)                                                                           \
  FOR_EACH(#NAME) {                                                                              \
    float *expected = random_floats(kind, n);                                                    \
    float *got = copy_of(expected, n * sizeof(float), 4 * again);                                \
    kernels.expected->NAME(expected, n);                                                         \
    kernels.tested->NAME(got, n);                                                                \
    same_floats("values", expected, got, n);                                                     \
  }                                                                                              \
  end_group(#NAME)

#define TWO_OPERANDS(NAME)                                                                       \
  FOR_EACH(#NAME) {                                                                              \
    float *expected = random_floats(kind, n), *other = random_floats(kind, n);                   \
    float *got = copy_of(expected, n * sizeof(float), 4 * again);                                \
    kernels.expected->NAME(expected, other, n);                                                  \
    kernels.tested->NAME(got, other, n);                                                         \
    same_floats("values", expected, got, n);                                                     \
  }                                                                                              \
  end_group(#NAME)

static void compare_soft_cap(kernel_pair kernels) {
  static const float caps[] = {50.0f, 30.0f, 1.0f, 1e-3f};
  FOR_EACH("soft_cap") {
    float *expected = random_floats(kind, n);
    float *got = copy_of(expected, n * sizeof(float), 4 * again);
    kernels.expected->soft_cap(expected, caps[again], n);
    kernels.tested->soft_cap(got, caps[again], n);
    same_floats("values", expected, got, n);
  }
  end_group("soft_cap");
}

static void compare_rotate(kernel_pair kernels) {
  FOR_EACH("rotate") {
    float *turn = random_floats(again < 2 ? ORDINARY : kind, 2 * n);
    float *expected = random_floats(kind, 2 * n);
    float *got = copy_of(expected, 2 * n * sizeof(float), 4 * again);
    kernels.expected->rotate(expected, turn, n, again % 2);
    kernels.tested->rotate(got, turn, n, again % 2);
    same_floats("values", expected, got, 2 * n);
  }
  end_group("rotate");
}

static void compare_reductions(kernel_pair kernels) {
  FOR_EACH("exponentials") {
    float *expected = random_floats(kind, n);
    float *got = copy_of(expected, n * sizeof(float), 4 * again);
    float max = again == 0 ? 0 : -INFINITY;
    for (size_t j = 0; again > 0 && j < n; j++) max = expected[j] > max ? expected[j] : max;
    float total = kernels.expected->exponentials(expected, max, n);
    float got_total = kernels.tested->exponentials(got, max, n);
    same_floats("values", expected, got, n);
    same_floats("sum", &total, &got_total, 1);
  }
  end_group("exponentials");
  FOR_EACH("maximum") {
    // The last time, of no values.
    size_t count = again == 3 ? 0 : n;
    float *x = random_floats(kind, count);
    // A zero may have either sign.
    float expected = kernels.expected->maximum(x, count) + 0.0f;
    float got = kernels.tested->maximum(x, count) + 0.0f;
    same_floats("result", &expected, &got, 1);
  }
  end_group("maximum");
}

void compare_elements(kernel_pair kernels) {
  compare_norms(kernels);
  IN_PLACE(silu);
  IN_PLACE(gelu_tanh);
  IN_PLACE(gelu);
  IN_PLACE(relu);
  compare_soft_cap(kernels);
  TWO_OPERANDS(multiply_elements);
  TWO_OPERANDS(add_elements);
  compare_rotate(kernels);
  compare_reductions(kernels);
}
