// The types with two levels of scales where sums of products of bytes have 32 bits: both halves of
// a block are summed apart and then multiplied with their scales, as floats, all of it exact
// (2 · 32 · 127 · 16 · 128 < 2^24).

typedef int16_t v16s __attribute__((ext_vector_type(16)));

// Sixteen rows' scales of both halves of block b.
INLINE void half_scales(const uint8_t *tile, int b, v16f *first, v16f *second) {
  v16s pairs;
  memcpy(&pairs, tile + 32 * b, sizeof pairs);
  v16i both = __builtin_convertvector(pairs, v16i);
  *first = to_float((v16i)((both << 24) >> 24));
  *second = to_float(both >> 8);
}

INLINE v16f both_halves(v16i first, v16f first_scale, v16i second, v16f second_scale) {
  return fma16(to_float(second), second_scale, to_float(first) * first_scale);
}

// A tile's weights.
typedef struct {
  uint8_t codes[2][8][64] __attribute__((aligned(64)));  // of the blocks' lines, 0 ... 64
  v16f scales[2][2];                                     // of the blocks' halves
} two_level_weights;
