// The rotary embedding of one head. Included by kernels_common.h.

// x = (a·cos − b·sin, a·sin + b·cos) of each pair (a, b), every product rounded.
INLINE void rotate_pair(float *a, float *b, float cosine, float sine) {
  float first = *a, second = *b;
  *a = first * cosine - second * sine;
  *b = first * sine + second * cosine;
}

INLINE void rotate_halves(float *x, const float *cosines, const float *sines, size_t pairs) {
  size_t i = 0;
  for (; i + 16 <= pairs; i += 16) {
    v16f a = load16(x + i), b = load16(x + pairs + i);
    v16f cosine = load16(cosines + i), sine = load16(sines + i);
    store16(x + i, a * cosine - b * sine);
    store16(x + pairs + i, a * sine + b * cosine);
  }
  for (; i < pairs; i++) rotate_pair(x + i, x + pairs + i, cosines[i], sines[i]);
}

// Each of eight values, twice.
INLINE v16f load8_twice(const float *p) {
  v8f v;
  memcpy(&v, p, sizeof v);
  return __builtin_shufflevector(v, v, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
}

INLINE void rotate_adjacent(float *x, const float *cosines, const float *sines, size_t pairs) {
  const int32_t minus = INT32_MIN;
  const v16i signs = {minus, 0, minus, 0, minus, 0, minus, 0, minus, 0, minus, 0, minus, 0, minus, 0};
  size_t i = 0;
  for (; i + 8 <= pairs; i += 8) {
    v16f v = load16(x + 2 * i);
    v16f other = __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    // a·cos + b·(−sin) and b·cos + a·sin: the bits of the other form.
    v16f sine = (v16f)((v16i)load8_twice(sines + i) ^ signs);
    store16(x + 2 * i, v * load8_twice(cosines + i) + other * sine);
  }
  for (; i < pairs; i++) rotate_pair(x + 2 * i, x + 2 * i + 1, cosines[i], sines[i]);
}

static void rotate(float *x, const float *turn, size_t pairs, int32_t halves) {
  if (halves)
    rotate_halves(x, turn, turn + pairs, pairs);
  else
    rotate_adjacent(x, turn, turn + pairs, pairs);
}
