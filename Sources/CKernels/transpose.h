// Sixteen vectors of sixteen lanes, as a matrix whose rows become columns.

// Lanes of `a` and `b` that go to `a`, and those that go to `b`: the blocks of a square of four that
// are off its diagonal change places.
#define EXCHANGE(NAME, LOW, HIGH)                                                                \
  INLINE void NAME(v16f *a, v16f *b) {                                                           \
    v16f low = __builtin_shufflevector(*a, *b, LOW);                                             \
    *b = __builtin_shufflevector(*a, *b, HIGH);                                                  \
    *a = low;                                                                                    \
  }
#define LANES(...) __VA_ARGS__

EXCHANGE(exchange1, LANES(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
         LANES(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
EXCHANGE(exchange2, LANES(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
         LANES(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
EXCHANGE(exchange4, LANES(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
         LANES(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
EXCHANGE(exchange8, LANES(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
         LANES(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))

INLINE void transpose16(v16f *v) {
  UNROLL for (int i = 0; i < 16; i += 2) exchange1(v + i, v + i + 1);
  UNROLL for (int i = 0; i < 16; i++) if (!(i & 2)) exchange2(v + i, v + i + 2);
  UNROLL for (int i = 0; i < 16; i++) if (!(i & 4)) exchange4(v + i, v + i + 4);
  UNROLL for (int i = 0; i < 8; i++) exchange8(v + i, v + i + 8);
}

static void transpose(const float *values, size_t tokens, size_t columns, float *transposed) {
  for (size_t c = 0; c < columns; c += 16) {
    v16f v[16];
    for (size_t t = 0; t < 16; t++) v[t] = t < tokens ? load16(values + t * columns + c) : 0;
    transpose16(v);
    for (size_t i = 0; i < 16; i++) store16(transposed + 16 * (c + i), v[i]);
  }
}
