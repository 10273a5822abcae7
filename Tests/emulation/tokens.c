#include "tokens.h"

const char *const activity_names[] = {
  "ordinary", "with one of 64", "with one of 1000", "zero", "tiny", "all largest", "huge",
  "not finite", "mixed",
};

size_t padded_columns(size_t columns) { return (columns + 63) / 64 * 64; }

static void fill_block(activity kind, float *x, size_t count) {
  for (size_t i = 0; i < count; i++) {
    switch (kind) {
    case ALL_ZERO: x[i] = one_in(2) ? 0.0f : -0.0f; break;
    case TINY: x[i] = normal() * (one_in(2) ? 1e-30f : 1e-38f); break;
    case ALL_LARGEST: x[i] = one_in(2) ? 3.0f : -3.0f; break;
    case HUGE_VALUES: x[i] = uniform(-3.4e38f, 3.4e38f); break;
    case NOT_FINITE: x[i] = one_in(16) ? extreme_float() : normal(); break;
    default: x[i] = normal(); break;
    }
  }
  if (kind == FEATURE_64) x[random_below(count)] *= 64;
  if (kind == FEATURE_1000) x[random_below(count)] *= 1000;
  // Without signs, the sums of products come closest to the ends of their integers.
  if (kind == ALL_LARGEST && one_in(2))
    for (size_t i = 0; i < count; i++) x[i] = x[0];
}

float *random_values(activity kind, size_t tokens, size_t columns) {
  size_t padded = padded_columns(columns);
  float *values = room(tokens * padded * sizeof(float), 4 * random_below(4));
  memset(values, 0, tokens * padded * sizeof(float));
  for (size_t t = 0; t < tokens; t++)
    for (size_t c = 0; c < columns; c += 32) {
      activity block = kind == MIXED ? (activity)random_below(MIXED) : kind;
      // Residual blocks stand between ordinary ones.
      if ((kind == FEATURE_64 || kind == FEATURE_1000) && one_in(3)) block = ORDINARY;
      fill_block(block, values + t * padded + c, columns - c < 32 ? columns - c : 32);
    }
  return values;
}

static ember_tile_storage new_storage(size_t tokens, size_t padded) {
  size_t blocks = padded / 32, count = blocks * tokens;
  return (ember_tile_storage){
    .codes = room(32 * count, 0), .scales = room(4 * count, 0), .sums = room(4 * count, 0),
    .half_sums = room(4 * count, 0),
    .residual_codes = room(32 * count, 0), .residual_scales = room(4 * count, 0),
    .residual_sums = room(4 * count, 0), .residual_half_sums = room(4 * count, 0),
    .residual_blocks = room(4 * blocks, 0),
  };
}

ember_token_tile quantized_tile(kernel_pair kernels, const float *values, size_t tokens,
                                size_t padded) {
  ember_tile_storage a = new_storage(tokens, padded), b = new_storage(tokens, padded);
  size_t listed = kernels.expected->quantize(values, tokens, padded, a);
  forget_stack();
  size_t got = kernels.tested->quantize(values, tokens, padded, b);
  size_t blocks = padded / 32, count = blocks * tokens;
  same_bytes("residual_block_count", &listed, &got, sizeof listed);
  same_bytes("codes", a.codes, b.codes, 32 * count);
  same_floats("scales", a.scales, b.scales, count);
  same_bytes("sums", a.sums, b.sums, 4 * count);
  same_bytes("half_sums", a.half_sums, b.half_sums, 4 * count);
  // What neither writes holds the same pattern in both.
  same_bytes("residual_codes", a.residual_codes, b.residual_codes, 32 * count);
  same_floats("residual_scales", a.residual_scales, b.residual_scales, count);
  same_bytes("residual_sums", a.residual_sums, b.residual_sums, 4 * count);
  same_bytes("residual_half_sums", a.residual_half_sums, b.residual_half_sums, 4 * count);
  same_bytes("residual_blocks", a.residual_blocks, b.residual_blocks, 4 * blocks);
  float *transposed = room(64 * padded, 0), *got_transposed = room(64 * padded, 0);
  kernels.expected->transpose(values, tokens, padded, transposed);
  forget_stack();
  kernels.tested->transpose(values, tokens, padded, got_transposed);
  same_bytes("transposed", transposed, got_transposed, 64 * padded);
  return (ember_token_tile){
    .tokens = tokens, .columns = padded, .values = values,
    .transposed = one_in(4) ? NULL : transposed, .codes = a.codes, .scales = a.scales,
    .sums = a.sums, .half_sums = a.half_sums, .residual_codes = a.residual_codes,
    .residual_scales = a.residual_scales, .residual_sums = a.residual_sums,
    .residual_half_sums = a.residual_half_sums, .residual_blocks = a.residual_blocks,
    .residual_block_count = listed,
  };
}
