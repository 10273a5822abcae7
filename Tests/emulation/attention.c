// attend, attend_q8, attend_q8q4 and attend_q4 over dimensions, visible lengths, groupings and what
// else an architecture asks for: all positions at once, and piece by piece as threads share them.
#include <stdlib.h>

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

// Bits of keys and values.
typedef enum { HALVES, Q8, Q8_Q4, Q4, CACHES_COUNT } caches;
static const char *const caches_names[] = {"halves", "q8", "q8 keys, q4 values", "q4"};

typedef void (*attention_kernel)(const ember_attention *a, size_t first, size_t count);

static attention_kernel kernel_of(const ember_kernels *kernels, caches cache) {
  switch (cache) {
    case Q8: return kernels->attend_q8;
    case Q8_Q4: return kernels->attend_q8q4;
    case Q4: return kernels->attend_q4;
    default: return kernels->attend;
  }
}

typedef struct {
  size_t dimension, first_visible, tokens, heads;
  scores kind;
  int32_t sees_all;
  size_t window;
  float soft_cap;
  int bias;
} attention_case;

static size_t positions_of(attention_case c) {
  return c.sees_all ? c.first_visible : c.first_visible + c.tokens - 1;
}

// Room for `count` halves, one per position and column: any(position, column) or scaled normals.
static uint16_t *scales_of(attention_case c, size_t room_for, size_t positions, int any) {
  size_t blocks = (c.dimension + 31) / 32;
  uint16_t *scales = room(room_for * blocks * 2, 2 * random_below(8));
  for (size_t p = 0; p < room_for; p++)
    for (size_t b = 0; b < blocks; b++) {
      uint16_t scale = half_bits(uniform(0.001f, 0.02f));
      if (one_in(20)) scale = 0;
      if (any && one_in(8)) scale = random_half();
      if (c.kind == HIDDEN_NOT_FINITE && p >= positions) scale = one_in(2) ? 0x7E00 : 0xFC00;
      scales[(p / 16 * blocks + b) * 16 + p % 16] = scale;
    }
  return scales;
}

static void fill_halves(attention_case c, ember_attention *a, size_t room_for) {
  size_t dimension = c.dimension, padded = a->padded_dimension;
  size_t positions = positions_of(c);
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
  a->keys = keys;
  a->values = values;
}

static void fill_codes(attention_case c, ember_attention *a, size_t room_for, caches cache) {
  size_t blocks = (c.dimension + 31) / 32, positions = positions_of(c);
  size_t key_bytes = room_for * blocks * (cache == Q4 ? 16 : 32);
  size_t value_bytes = room_for * (cache == Q8 ? a->padded_dimension : 16 * blocks);
  uint8_t *keys = room(key_bytes, random_below(16));
  uint8_t *values = room(value_bytes, random_below(16));
  // Every code, also those that no writer uses.
  for (size_t i = 0; i < key_bytes; i++)
    keys[i] = c.kind == EQUAL_SCORES ? 200 : c.kind == HUGE_SCORES && one_in(2) ? 0 : random_bits() >> 56;
  for (size_t i = 0; i < value_bytes; i++) values[i] = random_bits() >> 56;
  a->keys = keys;
  a->values = values;
  a->key_scales = scales_of(c, room_for, positions, c.kind == KEYS_ANY_BITS);
  a->value_scales = scales_of(c, room_for, positions, c.kind == VALUES_ANY_BITS);
}

// A bias for every distance between a token and a position that it sees, and nothing beside them.
static void fill_bias(attention_case c, ember_attention *a) {
  // Where all is seen, the tokens may stand anywhere.
  a->first_position = c.sees_all ? random_below(2 * c.first_visible) : c.first_visible - 1;
  ptrdiff_t nearest = (ptrdiff_t)a->first_position - (ptrdiff_t)c.first_visible + 1;
  size_t farthest = a->first_position + c.tokens - 1, last_seen = c.first_visible + c.tokens - 1;
  // Each token's window reaches as far back, unless the positions begin within it.
  if (c.window && c.window < last_seen) farthest -= last_seen - c.window;
  a->bias_stride = (size_t)((ptrdiff_t)farthest - nearest) + 1 + random_below(3);
  size_t count = (c.heads - 1) * a->bias_stride + (size_t)((ptrdiff_t)farthest - nearest) + 1;
  float *bias = room(count * sizeof(float), 4 * random_below(4));
  for (size_t i = 0; i < count; i++) bias[i] = 2 * normal();
  a->bias = bias - nearest;
}

// The codes of all queries, that both tables' quantize_query must agree on.
static void quantize_queries(kernel_pair kernels, ember_attention *a) {
  size_t blocks = (a->dimension + 31) / 32;
  a->query_blocks = a->heads * blocks + random_below(3);
  size_t count = a->tokens * a->query_blocks;
  int8_t *codes = room(count * 32, random_below(16)), *more_codes = room(count * 32, random_below(16));
  float *scales = room(count * 4, 0), *more_scales = room(count * 4, 4);
  int32_t *sums = room(count * 4, 8), *more_sums = room(count * 4, 0);
  memset(codes, 0, count * 32), memset(more_codes, 0, count * 32);
  memset(scales, 0, count * 4), memset(more_scales, 0, count * 4);
  memset(sums, 0, count * 4), memset(more_sums, 0, count * 4);
  for (size_t t = 0; t < a->tokens; t++)
    for (size_t h = 0; h < a->heads; h++) {
      const float *query = a->queries + t * a->query_stride + h * a->dimension;
      size_t at = t * a->query_blocks + h * blocks;
      kernels.expected->quantize_query(query, a->dimension, codes + 32 * at, scales + at, sums + at);
      kernels.tested->quantize_query(query, a->dimension, more_codes + 32 * at, more_scales + at,
                                     more_sums + at);
    }
  same_bytes("query codes", codes, more_codes, count * 32);
  same_floats("query scales", scales, more_scales, count);
  same_bytes("query sums", sums, more_sums, count * 4);
  a->query_codes = codes;
  a->query_scales = scales;
  a->query_sums = sums;
}

typedef enum { ALL_AT_ONCE, PIECE_BY_PIECE, WITHOUT_HIDDEN_PIECES } division;

static void outputs(const ember_kernels *kernels, ember_attention *a, caches cache,
                    division by_pieces, float *output) {
  size_t padded = a->padded_dimension, stride = padded + 16, queries = a->tokens * a->heads;
  size_t positions = a->sees_all ? a->first_visible : a->first_visible + a->tokens - 1;
  size_t pieces = (positions - 1) / EMBER_ATTENTION_PIECE + 1;
  // Once more without the pieces that no token sees.
  size_t skipped = 0;
  if (a->window && a->first_visible > a->window && by_pieces == WITHOUT_HIDDEN_PIECES)
    skipped = (a->first_visible - a->window) / EMBER_ATTENTION_PIECE;
  float *states = a->states;
  size_t runs = by_pieces == PIECE_BY_PIECE ? pieces : 1;
  for (size_t i = 0; i < runs; i++) {
    a->states = states + i * queries * stride;
    forget_stack();
    kernel_of(kernels, cache)(a, skipped + i, runs > 1 ? 1 : pieces - skipped);
  }
  a->states = states;
  for (size_t i = 0; i < queries; i++)
    kernels->join_attention(states + i * stride, runs, queries * stride, a->dimension, padded,
                            output + i * a->dimension);
}

static void compare_case(kernel_pair kernels, attention_case c, caches cache) {
  begin_case("attend, %s, dimension %zu, %zu visible%s, %zu tokens × %zu heads, scores %s, window %zu, "
             "soft cap %g, %s bias", caches_names[cache], c.dimension, c.first_visible,
             c.sees_all ? " to all" : "", c.tokens, c.heads, scores_names[c.kind], c.window,
             (double)c.soft_cap, c.bias ? "a" : "no");
  size_t dimension = c.dimension, padded = (dimension + 15) / 16 * 16;
  size_t queries = c.tokens * c.heads;
  size_t positions = positions_of(c), room_for = (positions + 63) / 64 * 64;
  size_t pieces = (positions - 1) / EMBER_ATTENTION_PIECE + 1;

  size_t query_stride = c.heads * dimension + random_below(3);
  size_t query_floats = (c.tokens - 1) * query_stride + c.heads * dimension;
  float *query = room(query_floats * sizeof(float), 4 * random_below(4));
  for (size_t i = 0; i < query_floats; i++) query[i] = normal();
  if (c.kind == HUGE_SCORES)
    for (size_t i = 0; i < query_floats; i++) query[i] *= one_in(9) ? 1e37f : 1e3f;

  size_t states = queries * (padded + 16);
  ember_attention a = {
    .tokens = c.tokens, .heads = c.heads, .first_visible = c.first_visible,
    .sees_all = c.sees_all, .window = c.window, .soft_cap = c.soft_cap, .dimension = dimension,
    .padded_dimension = padded, .queries = query, .query_stride = query_stride,
    .states = room(pieces * states * sizeof(float), 4 * random_below(4)),
    .scratch = pieces > 1 ? room(states * sizeof(float), 4 * random_below(4)) : NULL,
  };
  if (cache == HALVES) {
    fill_halves(c, &a, room_for);
  } else {
    fill_codes(c, &a, room_for, cache);
    quantize_queries(kernels, &a);
  }
  if (c.bias) fill_bias(c, &a);
  size_t output_floats = queries * dimension;
  float *expected = room(output_floats * sizeof(float), 4 * random_below(4));
  float *got = room(output_floats * sizeof(float), 4 * random_below(4));
  outputs(kernels.expected, &a, cache, ALL_AT_ONCE, expected);
  outputs(kernels.tested, &a, cache, ALL_AT_ONCE, got);
  same_floats("output", expected, got, output_floats);
  outputs(kernels.tested, &a, cache, PIECE_BY_PIECE, got);
  same_floats("output by pieces", expected, got, output_floats);
  if (!c.window) return;
  outputs(kernels.tested, &a, cache, WITHOUT_HIDDEN_PIECES, got);
  same_floats("output without hidden pieces", expected, got, output_floats);
}

// The same case as an architecture may have it.
static attention_case varied(attention_case c) {
  static const size_t windows[] = {0, 1, 2, 5, 16, 63, 64, 65, 100, 256, 300};
  static const float caps[] = {0, 50, 5, 0.5f};
  c.sees_all = one_in(4);
  c.window = c.sees_all ? 0 : windows[random_below(LENGTH(windows))];
  c.soft_cap = caps[random_below(LENGTH(caps))];
  c.bias = one_in(2);
  return c;
}

void compare_attention(kernel_pair kernels) {
  static const size_t dimensions[] = {1, 8, 16, 20, 33, 64, 80, 128, 256};
  static const size_t lengths[] = {1,   2,   15,  16,  17,  62,  63,  64,  65, 66,
                                   127, 128, 129, 200, 255, 256, 257, 300, 513};
  for (caches cache = HALVES; cache < CACHES_COUNT; cache++) {
    for (size_t i = 0; i < LENGTH(dimensions); i++)
      for (size_t j = 0; j < LENGTH(lengths); j++)
        for (size_t tokens = 1; tokens <= 3; tokens++) {
          attention_case c = {
            .dimension = dimensions[i], .first_visible = lengths[j], .tokens = tokens,
            .heads = 1 + random_below(9), .kind = ORDINARY_SCORES,
          };
          compare_case(kernels, c, cache);
          c.kind = (scores)random_below(SCORES_COUNT);
          compare_case(kernels, c, cache);
          if (!one_in(3)) c.kind = ORDINARY_SCORES;
          compare_case(kernels, varied(c), cache);
        }
    for (scores kind = 0; kind < SCORES_COUNT; kind++)
      for (size_t i = 0; i < LENGTH(dimensions); i++) {
        attention_case c = {
          .dimension = dimensions[i], .first_visible = 58, .tokens = 17, .heads = 2, .kind = kind,
        };
        compare_case(kernels, c, cache);
        compare_case(kernels, varied(c), cache);
        c.first_visible = 250;
        compare_case(kernels, c, cache);
        compare_case(kernels, varied(c), cache);
      }
    attention_case largest = {
      .dimension = EMBER_MAXIMUM_HEAD_DIMENSION, .first_visible = 65, .tokens = 2, .heads = 3,
    };
    compare_case(kernels, largest, cache);
    compare_case(kernels, varied(largest), cache);
  }
  end_group("attend");
}
