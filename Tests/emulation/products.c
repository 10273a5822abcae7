// quantize and the products of every type of weights over shapes, weights and activations.
#include "tokens.h"

typedef enum { Q4, Q8, Q4N, Q5, Q6, F16 } weight_type;
static const char *const type_names[] = {"q4", "q8", "q4n", "q5", "q6", "f16"};

// 16 columns share a signed byte as scale, a row a float before the tiles.
static int has_row_scales(weight_type type) { return type == Q4N || type == Q5 || type == Q6; }

typedef enum {
  RANDOM_WEIGHTS,
  ALL_LOWEST,   // every code 0, f16: −65504
  ALL_HIGHEST,  // every bit of a code 1, f16: 65504
  ZERO_SCALES,
  SUBNORMAL_SCALES,
  LARGEST_SCALES,
  ANY_BITS,  // infinities and NaNs among the halves
  FILLING_COUNT,
} filling;
static const char *const filling_names[] = {
  "random", "all lowest", "all highest", "of scale 0", "of subnormal scale", "of largest scale",
  "of any bits",
};

typedef struct {
  weight_type type;
  size_t rows, columns, tokens, outlier_steps;
  filling weights;
  activity values;
  size_t misalignment;
  int bias, accumulate;
  int partial;  // some of the row groups
} product_case;

static uint16_t half_of(filling weights, float ordinary) {
  switch (weights) {
  case ZERO_SCALES: return one_in(2) ? 0 : 0x8000;
  case SUBNORMAL_SCALES: return (uint16_t)(random_below(1024) | random_below(2) << 15);
  case LARGEST_SCALES: return one_in(2) ? 0x7BFF : 0xFBFF;
  case ANY_BITS: return random_half();
  default: return half_bits(ordinary);
  }
}

// Two scales of 16 columns. A file may hold −128, though writers do not.
static uint16_t byte_scales_of(filling weights) {
  switch (weights) {
  case ZERO_SCALES: return 0;
  case ALL_LOWEST: return 0x8080;
  case ALL_HIGHEST: return 0x7F7F;
  case LARGEST_SCALES: return (uint16_t)(one_in(2) ? 0x7F81 : 0x817F);
  default: return (uint16_t)random_bits();
  }
}

static float row_scale_of(filling weights) {
  switch (weights) {
  case ZERO_SCALES: return one_in(2) ? 0.0f : -0.0f;
  case SUBNORMAL_SCALES: return one_in(2) ? 1e-40f * normal() : 1e-38f * normal();
  case LARGEST_SCALES: return one_in(2) ? 3.4028235e38f : -3.4028235e38f;
  case ANY_BITS: return extreme_float();
  default: return 1e-4f * normal();
  }
}

static ember_matrix random_matrix(const product_case *c) {
  static const size_t tile_bytes[] = {576, 1088, 576, 704, 832, 2048};
  size_t tiles = padded_columns(c->columns) / 64, groups = (c->rows + 15) / 16;
  size_t head = has_row_scales(c->type) ? 64 : 0, dense = tiles * tile_bytes[c->type];
  size_t stride = head + dense + 64 * c->outlier_steps;
  uint8_t *data = room(groups * stride, c->misalignment);
  for (size_t g = 0; g < groups; g++) {
    for (size_t row = 0; row < head / 4; row++) {
      float scale = row_scale_of(c->weights);
      memcpy(data + g * stride + 4 * row, &scale, 4);
    }
    uint8_t *group = data + g * stride + head;
    for (size_t i = 0; i < dense; i += 2) {
      uint16_t two;
      if (c->type == F16 && c->weights == ALL_LOWEST) two = 0xFBFF;
      else if (c->type == F16 && c->weights == ALL_HIGHEST) two = 0x7BFF;
      else if (c->type == F16) two = half_of(c->weights, normal());
      else if (head && i % tile_bytes[c->type] < 64) two = byte_scales_of(c->weights);
      else if (i % tile_bytes[c->type] < 64) two = half_of(c->weights, 0.01f * normal());
      else if (c->weights == ALL_LOWEST) two = 0;
      else if (c->weights == ALL_HIGHEST) two = 0xFFFF;
      else two = (uint16_t)random_bits();
      memcpy(group + i, &two, 2);
    }
    for (size_t s = 0; s < c->outlier_steps; s++)
      for (size_t lane = 0; lane < 16; lane++) {
        uint16_t column = (uint16_t)random_below(c->columns);
        uint16_t value = half_of(c->weights, normal());
        memcpy(group + dense + 64 * s + 2 * lane, &column, 2);
        memcpy(group + dense + 64 * s + 32 + 2 * lane, &value, 2);
      }
  }
  return (ember_matrix){
    .data = data, .rows = c->rows, .column_tiles = tiles, .group_stride = stride,
    .outlier_steps = c->outlier_steps,
  };
}

static void multiply(const ember_kernels *kernels, weight_type type, ember_matrix m,
                     const ember_token_tile *x, ember_output y, size_t first, size_t count) {
  switch (type) {
  case Q4: kernels->multiply_q4(m, x, y, first, count); break;
  case Q8: kernels->multiply_q8(m, x, y, first, count); break;
  case Q4N: kernels->multiply_q4n(m, x, y, first, count); break;
  case Q5: kernels->multiply_q5(m, x, y, first, count); break;
  case Q6: kernels->multiply_q6(m, x, y, first, count); break;
  case F16: kernels->multiply_f16(m, x, y, first, count); break;
  }
}

static void compare_product(kernel_pair kernels, product_case c) {
  begin_case("multiply_%s, %zu rows × %zu columns, %zu tokens, %zu outlier steps, "
             "weights %s, values %s, misaligned by %zu%s%s%s",
             type_names[c.type], c.rows, c.columns, c.tokens, c.outlier_steps,
             filling_names[c.weights], activity_names[c.values], c.misalignment,
             c.bias ? ", bias" : "", c.accumulate ? ", accumulating" : "",
             c.partial ? ", some groups" : "");
  ember_matrix m = random_matrix(&c);
  float *values = random_values(c.values, c.tokens, c.columns);
  ember_token_tile x = quantized_tile(kernels, values, c.tokens, padded_columns(c.columns));
  float *bias = NULL;
  if (c.bias) {
    bias = room(c.rows * sizeof(float), 4 * random_below(4));
    for (size_t r = 0; r < c.rows; r++) bias[r] = normal();
  }
  size_t stride = c.rows + random_below(3), count = (c.tokens - 1) * stride + c.rows;
  float *expected = room(count * sizeof(float), 4 * random_below(4));
  for (size_t i = 0; i < count; i++) expected[i] = normal();
  float *got = copy_of(expected, count * sizeof(float), 4 * random_below(4));
  size_t groups = (c.rows + 15) / 16, first = 0, some = groups;
  if (c.partial) {
    first = random_below(groups);
    some = random_below(groups - first + 1);
  }
  ember_output y = {.stride = stride, .bias = bias, .accumulate = c.accumulate};
  y.output = expected;
  multiply(kernels.expected, c.type, m, &x, y, first, some);
  y.output = got;
  forget_stack();
  multiply(kernels.tested, c.type, m, &x, y, first, some);
  same_floats("output", expected, got, count);
}

// The rest of a case whose shape is given. Half of all cases are ordinary in all else, so that no
// difference hides behind NaNs.
static product_case random_case(weight_type type, size_t rows, size_t columns, size_t tokens) {
  static const size_t misalignments[] = {0, 2, 16, 34, 62};
  product_case c = {.type = type, .rows = rows, .columns = columns, .tokens = tokens};
  c.outlier_steps = type == F16 ? 0 : random_below(4);
  c.misalignment = misalignments[random_below(LENGTH(misalignments))];
  c.bias = one_in(3);
  c.accumulate = one_in(3);
  c.partial = one_in(4);
  c.values = one_in(2) ? (activity)random_below(3) : (activity)random_below(ACTIVITY_COUNT);
  c.weights = one_in(2) ? RANDOM_WEIGHTS : (filling)random_below(FILLING_COUNT);
  return c;
}

static void compare_type(kernel_pair kernels, weight_type type) {
  for (size_t rows = 1; rows <= 40; rows++)
    for (size_t tiles = 1; tiles <= 4; tiles++)
      for (size_t tokens = 1; tokens <= 16; tokens++) {
        size_t columns = 64 * tiles - random_below(64);
        compare_product(kernels, random_case(type, rows, columns, tokens));
      }
  for (size_t columns = 1; columns <= 200; columns++) {
    size_t rows = 1 + random_below(40), tokens = 1 + random_below(16);
    compare_product(kernels, random_case(type, rows, columns, tokens));
  }
  static const size_t some_tokens[] = {1, 2, 3, 5, 8, 16};
  for (filling weights = 0; weights < FILLING_COUNT; weights++)
    for (activity values = 0; values < ACTIVITY_COUNT; values++)
      for (size_t i = 0; i < LENGTH(some_tokens); i++) {
        product_case c = {
          .type = type, .rows = 18, .columns = 100, .tokens = some_tokens[i],
          .outlier_steps = type == F16 ? 0 : i % 3, .weights = weights, .values = values,
        };
        compare_product(kernels, c);
      }
  // Long rows: many blocks, prefetches far beyond the end.
  for (size_t tokens = 1; tokens <= 16; tokens++)
    compare_product(kernels, random_case(type, 32, 2048 + tokens, tokens));
}

static void compare_quantize(kernel_pair kernels) {
  for (size_t tokens = 1; tokens <= 16; tokens++)
    for (activity kind = 0; kind < ACTIVITY_COUNT; kind++)
      for (size_t columns = 7; columns <= 263; columns += 32) {
        begin_case("quantize, %zu columns, %zu tokens, values %s", columns, tokens,
                   activity_names[kind]);
        float *values = random_values(kind, tokens, columns);
        quantized_tile(kernels, values, tokens, padded_columns(columns));
      }
}

void compare_products(kernel_pair kernels) {
  compare_quantize(kernels);
  end_group("quantize");
  for (weight_type type = Q4; type <= F16; type++) {
    compare_type(kernels, type);
    char name[] = "multiply_f16";
    snprintf(name, sizeof name, "multiply_%s", type_names[type]);
    end_group(name);
  }
}
