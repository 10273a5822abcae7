// encode, search_groups and round_groups over weights, importances and grids.
#include "compare.h"

typedef enum { NORMAL, ZERO, SUBNORMAL, LARGE, ON_THE_GRID, ONE_OUTLIER, WEIGHTS_COUNT } weights;
static const char *const weights_names[] = {
  "normal", "zero", "subnormal", "large", "on the grid", "with one outlier",
};

static float random_weight(weights kind) {
  switch (kind) {
  case ZERO: return one_in(2) ? 0.0f : -0.0f;
  case SUBNORMAL: return normal() * 1e-39f;
  case LARGE: return normal() * 1e18f;
  case ON_THE_GRID: return 0.25f * (float)((int)random_below(16) - 8);
  default: return normal();
  }
}

static void compare_case(kernel_pair kernels, weights kind, int wide, size_t blocks) {
  begin_case("encode, %zu blocks, weights %s, %s grid", blocks, weights_names[kind],
             wide ? "wide" : "narrow");
  size_t count = 32 * blocks;
  float *w = room(count * sizeof(float), 4 * random_below(4));
  float *importance = room(count * sizeof(float), 4 * random_below(4));
  int even = one_in(2);
  for (size_t i = 0; i < count; i++) {
    w[i] = random_weight(kind);
    importance[i] = even ? 1.0f : one_in(8) ? 0.0f : uniform(0, 9);
  }
  if (kind == ONE_OUTLIER)
    for (size_t b = 0; b < blocks; b++) w[32 * b + random_below(32)] *= 50;
  static const float factors[] = {0.7f, 0.8f, 0.9f, 0.95f, 1.0f, 1.05f, 1.1f};
  ember_grid grid = {
    .lowest = wide ? -127 : -8, .highest = wide ? 127 : 7, .factors = factors,
    .factor_count = 1 + random_below(LENGTH(factors)), .both_signs = !wide,
  };
  int8_t *codes[2];
  uint16_t *scales[2];
  float *errors[2];
  for (int i = 0; i < 2; i++) {
    codes[i] = room(count, random_below(16));
    scales[i] = room(blocks * sizeof(uint16_t), 2 * random_below(8));
    errors[i] = room(blocks * sizeof(float), 4 * random_below(4));
  }
  kernels.expected->encode(w, importance, blocks, &grid, codes[0], scales[0], errors[0]);
  forget_stack();
  kernels.tested->encode(w, importance, blocks, &grid, codes[1], scales[1], errors[1]);
  same_bytes("codes", codes[0], codes[1], count);
  same_bytes("scales", scales[0], scales[1], blocks * sizeof(uint16_t));
  same_floats("errors", errors[0], errors[1], blocks);
}

static void compare_groups_case(kernel_pair kernels, weights kind, int uneven, size_t groups) {
  begin_case("groups, %zu groups, weights %s, %s levels", groups, weights_names[kind],
             uneven ? "uneven" : "even");
  size_t count = 16 * groups;
  float *w = room(count * sizeof(float), 4 * random_below(4));
  float *importance = room(count * sizeof(float), 4 * random_below(4));
  for (size_t i = 0; i < count; i++) {
    w[i] = random_weight(kind);
    importance[i] = one_in(8) ? 0.0f : uniform(0, 9);
  }
  static const float factors[] = {0.85f, 0.95f, 1.0f, 1.05f, 1.15f};
  static const uint8_t grid[16] = {EMBER_Q4N_GRID};
  float values[16], middles[15];
  for (int i = 0; i < 16; i++) values[i] = (float)grid[i] - 32;
  for (int i = 0; i < 15; i++) middles[i] = (values[i] + values[i + 1]) / 2;
  ember_levels levels = {
    .lowest = uneven ? values[0] : -32, .highest = uneven ? values[15] : 31,
    .values = uneven ? values : NULL, .middles = uneven ? middles : NULL,
    .factors = factors, .factor_count = 1 + random_below(LENGTH(factors)),
  };
  float *scales[2], *errors[2];
  uint8_t *codes[2];
  for (int i = 0; i < 2; i++) {
    scales[i] = room(groups * sizeof(float), 4 * random_below(4));
    codes[i] = room(count, random_below(16));
    errors[i] = room(groups * sizeof(float), 4 * random_below(4));
  }
  kernels.expected->search_groups(w, importance, groups, &levels, scales[0]);
  kernels.expected->round_groups(w, importance, groups, &levels, scales[0], codes[0], errors[0]);
  forget_stack();
  kernels.tested->search_groups(w, importance, groups, &levels, scales[1]);
  kernels.tested->round_groups(w, importance, groups, &levels, scales[1], codes[1], errors[1]);
  same_floats("scales", scales[0], scales[1], groups);
  same_bytes("codes", codes[0], codes[1], count);
  same_floats("errors", errors[0], errors[1], groups);
}

void compare_encode(kernel_pair kernels) {
  for (weights kind = 0; kind < WEIGHTS_COUNT; kind++)
    for (int wide = 0; wide < 2; wide++)
      for (size_t blocks = 1; blocks <= 12; blocks++) compare_case(kernels, kind, wide, blocks);
  end_group("encode");
  for (weights kind = 0; kind < WEIGHTS_COUNT; kind++)
    for (int uneven = 0; uneven < 2; uneven++)
      for (size_t groups = 1; groups <= 12; groups++)
        compare_groups_case(kernels, kind, uneven, groups);
  end_group("groups");
}
