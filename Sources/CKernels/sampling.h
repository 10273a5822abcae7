// Selection among a vocabulary's logits: the passes over all of them that sampling needs. Included
// by kernels_common.h.

typedef uint32_t v16u __attribute__((ext_vector_type(16)));
typedef uint64_t v8u __attribute__((ext_vector_type(8)));
typedef double v8d __attribute__((ext_vector_type(8)));

// Larger for larger floats; the same for zeros of either sign, since adding 0 makes −0 a 0.
INLINE v16u order_keys(v16f x) {
  v16i bits = (v16i)(x + (v16f)0.0f);
  return (v16u)(bits ^ (bits >> 31 | INT32_MIN));
}

INLINE uint32_t order_key(float x) {
  float sum = x + 0.0f;
  int32_t bits;
  memcpy(&bits, &sum, 4);
  return (uint32_t)(bits ^ (bits >> 31 | INT32_MIN));
}

// Bit j is that of lane j.
INLINE uint32_t bits_of_mask(v16i mask) {
  typedef _Bool v16b __attribute__((ext_vector_type(16)));
  v16b lanes = __builtin_convertvector(mask, v16b);
  uint16_t bits;
  memcpy(&bits, &lanes, sizeof bits);
  return bits;
}

static int32_t extremes(const float *x, size_t n, float *lowest, float *highest) {
  const float infinity = __builtin_inff();
  v16f low = infinity, high = -infinity;
  v16i below = -1;
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    v16f v = load16(x + i);
    below &= v < (v16f)infinity;
    low = v < low ? v : low;
    high = v > high ? v : high;
  }
  int all = bits_of_mask(below) == 0xFFFF;
  float bottom = -max_of_lanes(-low), top = max_of_lanes(high);
  for (; i < n; i++) {
    all &= x[i] < infinity;
    bottom = x[i] < bottom ? x[i] : bottom;
    top = x[i] > top ? x[i] : top;
  }
  *lowest = bottom;
  *highest = top;
  return all;
}

INLINE size_t select_each(const float *x, const int32_t *ids, int32_t first, size_t n,
                          uint32_t lowest, uint32_t highest, int32_t *kept_ids, float *kept) {
  const v16i lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const v16u span = highest - lowest;
  size_t count = 0, i = 0;
  for (; i + 16 <= n; i += 16) {
    v16f v = load16(x + i);
    uint32_t mask = bits_of_mask((v16i)(order_keys(v) - (v16u)lowest <= span));
    if (mask == 0) continue;
    v16i id = lanes + (v16i)(int32_t)((uint32_t)first + (uint32_t)i);
    if (ids) memcpy(&id, ids + i, sizeof id);
    if (mask == 0xFFFF) {
      store16(kept + count, v);
      memcpy(kept_ids + count, &id, sizeof id);
      count += 16;
      continue;
    }
    // Without a branch, as any lane may stay. What does not is overwritten by the next that does;
    // the place is never behind the lane's own.
    float values[16];
    int32_t numbers[16];
    store16(values, v);
    memcpy(numbers, &id, sizeof id);
    for (int j = 0; j < 16; j++) {
      kept[count] = values[j];
      kept_ids[count] = numbers[j];
      count += mask >> j & 1;
    }
  }
  for (; i < n; i++) {
    float value = x[i];
    int32_t id = ids ? ids[i] : (int32_t)((uint32_t)first + (uint32_t)i);
    kept[count] = value;
    kept_ids[count] = id;
    count += order_key(value) - lowest <= highest - lowest;
  }
  return count;
}

static size_t select_keys(const float *x, const int32_t *ids, int32_t first, size_t n,
                          uint32_t lowest, uint32_t highest, int32_t *kept_ids, float *kept) {
  return ids ? select_each(x, ids, first, n, lowest, highest, kept_ids, kept)
             : select_each(x, NULL, first, n, lowest, highest, kept_ids, kept);
}

static void drop_below(float *weights, const float *x, float limit, size_t n) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    v16i stays = load16(x + i) >= (v16f)limit;
    store16(weights + i, (v16f)((v16i)load16(weights + i) & stays));
  }
  for (; i < n; i++) weights[i] = x[i] >= limit ? weights[i] : 0.0f;
}

// From 2^16 to 2^17 the last bit of a double is 2^−36: added to 2^16, a weight is rounded to a unit,
// and the sum's bits count units.
#define UNITS_START 0x1.0p16

INLINE v8u units8(v8f weights) {
  const v8d start = UNITS_START;
  return (v8u)(__builtin_convertvector(weights, v8d) + start) - (v8u)start;
}

INLINE uint64_t units_of(float weight) {
  double start = UNITS_START, sum = (double)weight + start;
  uint64_t bits, start_bits;
  memcpy(&bits, &sum, 8);
  memcpy(&start_bits, &start, 8);
  return bits - start_bits;
}

static uint64_t sum_units(const float *weights, size_t n) {
  v8u low = 0, high = 0;
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    v16f w = load16(weights + i);
    low += units8(w.lo);
    high += units8(w.hi);
  }
  low += high;
  uint64_t sum = 0;
  for (int j = 0; j < 8; j++) sum += low[j];
  for (; i < n; i++) sum += units_of(weights[i]);
  return sum;
}

INLINE void count_each(const float *x, const float *weights, size_t n, uint32_t lowest,
                       uint32_t shift, uint64_t *bins) {
  // Neighbours add to different sets, so that an addition need not wait for the one before.
  const v16u sets = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
  const uint32_t last = EMBER_SELECTION_BINS - 1;
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    v16u bin = (order_keys(load16(x + i)) - (v16u)lowest) >> (v16u)shift & last;
    bin = bin * 4 + sets;
    uint32_t at[16];
    uint64_t amounts[16];
    memcpy(at, &bin, sizeof bin);
    if (weights) {
      v16f w = load16(weights + i);
      v8u low = units8(w.lo), high = units8(w.hi);
      memcpy(amounts, &low, sizeof low);
      memcpy(amounts + 8, &high, sizeof high);
    }
    UNROLL
    for (int j = 0; j < 16; j++) bins[at[j]] += weights ? amounts[j] : 1;
  }
  for (; i < n; i++) {
    uint32_t bin = (order_key(x[i]) - lowest) >> shift & last;
    bins[4 * bin + i % 4] += weights ? units_of(weights[i]) : 1;
  }
}

static void count_keys(const float *x, const float *weights, size_t n, uint32_t lowest,
                       uint32_t shift, uint64_t *bins) {
  if (weights)
    count_each(x, weights, n, lowest, shift, bins);
  else
    count_each(x, NULL, n, lowest, shift, bins);
}
