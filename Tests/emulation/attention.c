// attend over dimensions, visible lengths and groupings.
#include "compare.h"

typedef enum {
  ORDINARY_SCORES,
  EQUAL_SCORES,
  HUGE_SCORES,         // all weight on one position, up to scores that overflow
  HIDDEN_NOT_FINITE,   // what no query may see holds NaNs and infinities
  KEYS_ANY_BITS,
  VALUES_ANY_BITS,
  SCORES_COUNT,
} scores;
static const char *const scores_names[] = {
  "ordinary", "equal", "huge", "hidden not finite", "of any keys", "of any values",
};

typedef struct {
  size_t dimension, first_visible, tokens, heads, missing;  // missing: queries of the last token
  scores kind;
} attention_case;

static void compare_case(kernel_pair kernels, attention_case c) {
  begin_case("attend, dimension %zu, %zu visible, %zu tokens × %zu heads − %zu, scores %s",
             c.dimension, c.first_visible, c.tokens, c.heads, c.missing,
             scores_names[c.kind]);
  size_t dimension = c.dimension, padded = (dimension + 15) / 16 * 16;
  size_t queries = c.tokens * c.heads - c.missing;
  size_t positions = c.first_visible + c.tokens - 1, room_for = (positions + 63) / 64 * 64;

  uint16_t *keys = room(room_for * dimension * 2, 2 * random_below(8));
  uint16_t *values = room(room_for * padded * 2, 2 * random_below(8));
  int hidden = c.kind == HIDDEN_NOT_FINITE;
  for (size_t p = 0; p < room_for; p++)
    for (size_t d = 0; d < padded; d++) {
      int seen = p < positions;
      uint16_t value = half_bits(seen && d < dimension ? normal() : 0.0f);
      if (c.kind == VALUES_ANY_BITS || (hidden && !(seen && d < dimension))) value = random_half();
      values[p * padded + d] = value;
      if (d >= dimension) continue;
      uint16_t key = half_bits(normal());
      if (c.kind == EQUAL_SCORES) key = half_bits(0.5f);
      if (c.kind == KEYS_ANY_BITS && one_in(8)) key = random_half();
      if (hidden && !seen) key = one_in(2) ? 0x7E00 : 0xFC00;
      keys[(p / 16 * dimension + d) * 16 + p % 16] = key;
    }

  size_t query_stride = dimension + random_below(3), output_stride = dimension + random_below(3);
  size_t query_floats = (queries - 1) * query_stride + dimension;
  float *query = room(query_floats * sizeof(float), 4 * random_below(4));
  for (size_t i = 0; i < query_floats; i++) query[i] = normal();
  if (c.kind == HUGE_SCORES)
    for (size_t i = 0; i < query_floats; i++) query[i] *= one_in(9) ? 1e37f : 1e3f;

  size_t output_floats = (queries - 1) * output_stride + dimension;
  float *expected = room(output_floats * sizeof(float), 4 * random_below(4));
  float *got = room(output_floats * sizeof(float), 4 * random_below(4));
  ember_attention a = {
    .queries = query, .query_stride = query_stride, .query_count = queries,
    .heads_per_token = c.heads, .first_visible = c.first_visible, .keys = keys, .values = values,
    .dimension = dimension, .padded_dimension = padded, .output_stride = output_stride,
    .scratch = room(queries * (padded + 16) * sizeof(float), 4 * random_below(4)),
  };
  a.output = expected;
  kernels.expected->attend(&a);
  a.output = got;
  forget_stack();
  kernels.tested->attend(&a);
  same_floats("output", expected, got, output_floats);
}

void compare_attention(kernel_pair kernels) {
  static const size_t dimensions[] = {1, 8, 16, 20, 64, 128, 256};
  static const size_t lengths[] = {1, 2, 15, 16, 17, 62, 63, 64, 65, 66, 127, 128, 129, 200};
  for (size_t i = 0; i < LENGTH(dimensions); i++)
    for (size_t j = 0; j < LENGTH(lengths); j++)
      for (size_t tokens = 1; tokens <= 3; tokens++) {
        size_t heads = 1 + random_below(4);
        attention_case c = {
          .dimension = dimensions[i], .first_visible = lengths[j], .tokens = tokens,
          .heads = heads, .missing = random_below(heads), .kind = ORDINARY_SCORES,
        };
        compare_case(kernels, c);
        c.kind = (scores)random_below(SCORES_COUNT);
        compare_case(kernels, c);
      }
  for (scores kind = 0; kind < SCORES_COUNT; kind++)
    for (size_t i = 0; i < LENGTH(dimensions); i++) {
      attention_case c = {
        .dimension = dimensions[i], .first_visible = 58, .tokens = 17, .heads = 2, .kind = kind,
      };
      compare_case(kernels, c);
    }
  end_group("attend");
}
