#include "recording.h"

#include <stdlib.h>

#include "compare.h"

static FILE *file = NULL;
static int replaying = 0;

static _Noreturn void give_up(const char *reason) {
  fprintf(stderr, "the recording %s (case %zu of seed %llu)\n", reason, total_cases,
          (unsigned long long)program_seed);
  exit(2);
}

static void start(const char *path, const char *mode) {
  file = fopen(path, mode);
  if (!file) give_up("cannot be opened");
  replaying = mode[0] == 'r';
}

void start_recording(const char *path) { start(path, "wb"); }
void start_replaying(const char *path) { start(path, "rb"); }

void end_recording(void) {
  if (replaying && fgetc(file) != EOF) give_up("goes on after the last case");
  if (fclose(file) != 0) give_up("cannot be written");
  file = NULL;
}

void record_or_replay(void *expected, size_t bytes) {
  if (!file) return;
  // Both sides must be in the same place: the inputs come from the same random numbers.
  uint64_t place[3] = {program_seed, total_cases, bytes}, found[3];
  if (!replaying) {
    if (fwrite(place, sizeof place, 1, file) != 1 || fwrite(expected, 1, bytes, file) != bytes)
      give_up("cannot be written");
    return;
  }
  if (fread(found, sizeof found, 1, file) != 1) give_up("ends too early");
  if (memcmp(place, found, sizeof place) != 0) give_up("is of other cases");
  if (fread(expected, 1, bytes, file) != bytes) give_up("ends too early");
}

static size_t no_quantize(const float *values, size_t tokens, size_t columns,
                          ember_tile_storage storage) {
  (void)values, (void)tokens, (void)columns, (void)storage;
  return 0;
}

static void no_transpose(const float *values, size_t tokens, size_t columns, float *transposed) {
  (void)values, (void)tokens, (void)columns, (void)transposed;
}

static void no_encode(const float *weights, const float *importance, size_t blocks,
                      const ember_grid *grid, int8_t *codes, uint16_t *scales, float *errors) {
  (void)weights, (void)importance, (void)blocks, (void)grid;
  (void)codes, (void)scales, (void)errors;
}

static void no_search(const float *weights, const float *importance, size_t groups,
                      const ember_levels *levels, float *scales) {
  (void)weights, (void)importance, (void)groups, (void)levels, (void)scales;
}

static void no_round(const float *weights, const float *importance, size_t groups,
                     const ember_levels *levels, const float *scales, uint8_t *codes, float *errors) {
  (void)weights, (void)importance, (void)groups, (void)levels;
  (void)scales, (void)codes, (void)errors;
}

static void no_multiply(ember_matrix m, const ember_token_tile *x, ember_output y, size_t first,
                        size_t count) {
  (void)m, (void)x, (void)y, (void)first, (void)count;
}

static void no_quantize_query(const float *query, size_t dimension, int8_t *codes, float *scales,
                              int32_t *sums) {
  (void)query, (void)dimension, (void)codes, (void)scales, (void)sums;
}

static void no_attend(const ember_attention *a, size_t first, size_t count) {
  (void)a, (void)first, (void)count;
}

static void no_join(float *states, size_t count, size_t stride, size_t dimension,
                    size_t padded_dimension, float *output) {
  (void)states, (void)count, (void)stride, (void)dimension, (void)padded_dimension, (void)output;
}

static void no_rms_norm(const float *x, const float *gain, float epsilon, size_t n, float *out) {
  (void)x, (void)gain, (void)epsilon, (void)n, (void)out;
}

static void no_layer_norm(const float *x, const float *gain, const float *bias, float epsilon,
                          size_t n, float *out) {
  (void)x, (void)gain, (void)bias, (void)epsilon, (void)n, (void)out;
}

static void no_change(float *x, size_t n) { (void)x, (void)n; }
static void no_cap(float *x, float cap, size_t n) { (void)x, (void)cap, (void)n; }
static void no_operation(float *x, const float *y, size_t n) { (void)x, (void)y, (void)n; }

static void no_rotate(float *x, const float *turn, size_t pairs, int32_t halves) {
  (void)x, (void)turn, (void)pairs, (void)halves;
}

static float no_exponentials(float *x, float max, size_t n) {
  (void)x, (void)max, (void)n;
  return 0;
}

static float no_maximum(const float *x, size_t n) {
  (void)x, (void)n;
  return 0;
}

static int32_t no_extremes(const float *x, size_t n, float *lowest, float *highest) {
  (void)x, (void)n;
  *lowest = *highest = 0;
  return 0;
}

static size_t no_select(const float *x, const int32_t *ids, int32_t first, size_t n,
                        uint32_t lowest, uint32_t highest, int32_t *kept_ids, float *kept) {
  (void)x, (void)ids, (void)first, (void)n, (void)lowest, (void)highest;
  (void)kept_ids, (void)kept;
  return 0;
}

static void no_drop(float *weights, const float *x, float limit, size_t n) {
  (void)weights, (void)x, (void)limit, (void)n;
}

static uint64_t no_sum(const float *weights, size_t n) {
  (void)weights, (void)n;
  return 0;
}

static void no_count(const float *x, const float *weights, size_t n, uint32_t lowest,
                     uint32_t shift, uint64_t *bins) {
  (void)x, (void)weights, (void)n, (void)lowest, (void)shift, (void)bins;
}

const ember_kernels recorded_kernels = {
  no_quantize,     no_transpose,  no_encode,       no_search,   no_round,    no_multiply,
  no_multiply,     no_multiply,   no_multiply,     no_multiply, no_multiply, no_quantize_query,
  no_attend,       no_attend,     no_attend,       no_attend,   no_join,     no_rms_norm,
  no_layer_norm,   no_change,     no_change,       no_change,   no_change,   no_cap,
  no_operation,    no_operation,  no_rotate,       no_exponentials, no_maximum, no_extremes,
  no_select,       no_drop,       no_sum,          no_count,
};
