// What the NEON kernel files share: four rows of a block in a register, sixteen rows as four of
// them. A file includes arm_neon.h and vectors.h, defines Q8_ZERO and then includes this; it
// supplies the product of four rows with one token's block:
//   int32x4_t dot4(const uint8x16_t weights[8], const int8_t *codes, int32x4_t sum)

INLINE float32x4_t load4_half(const void *p) {
  return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}

INLINE v16f load16_half(const uint16_t *p) {
  float32x4_t quarters[4];
  for (int i = 0; i < 4; i++) quarters[i] = load4_half(p + 4 * i);
  v16f v;
  memcpy(&v, quarters, sizeof v);
  return v;
}

INLINE v16i round_to_int(v16f v) {
  float32x4_t quarters[4];
  int32x4_t rounded[4];
  memcpy(quarters, &v, sizeof v);
  for (int i = 0; i < 4; i++) rounded[i] = vcvtnq_s32_f32(quarters[i]);
  v16i r;
  memcpy(&r, rounded, sizeof r);
  return r;
}

// The codes of four rows of a block, columns 4j ... 4j + 3 in register j: 0 ... 15, which means the
// same with and without a sign.
INLINE void unpack_q4(const uint8_t *block, uint8x16_t *weights) {
  for (int j = 0; j < 4; j++) {
    uint8x16_t v = vld1q_u8(block + 64 * j);
    weights[j] = vandq_u8(v, vdupq_n_u8(15));
    weights[4 + j] = vshrq_n_u8(v, 4);
  }
}

// Likewise; as signed bytes of code − 128 where the file's zero point is 0.
INLINE void unpack_q8(const uint8_t *block, uint8x16_t *weights) {
  for (int j = 0; j < 8; j++)
    weights[j] = veorq_u8(vld1q_u8(block + 64 * j), vdupq_n_u8(Q8_ZERO == 0 ? 0x80 : 0));
}

// Six tokens' sums of sixteen rows take 24 of 32 registers.
enum { F16_TOKENS = 6 };

// Sixteen rows × 32 columns of `streams` row groups for one token.
#define DOTS(NAME, UNPACK, DOT4, TILE, BLOCK_BYTES)                                              \
  INLINE void NAME(const uint8_t *w, size_t stride, int streams, const int8_t *x, v16i *dots) {  \
    for (int s = 0; s < streams; s++, w += stride) {                                             \
      int32x4_t quarters[4];                                                                     \
      for (int i = 0; i < 4; i++) {                                                              \
        uint8x16_t weights[8];                                                                   \
        UNPACK(w + 16 * i, weights);                                                             \
        for (int line = BLOCK_BYTES / 4 * i; line < BLOCK_BYTES / 4 * (i + 1); line += 64)       \
          __builtin_prefetch(w + TILE + line, 0, 3);                                             \
        quarters[i] = DOT4(weights, x, vdupq_n_s32(0));                                          \
      }                                                                                          \
      memcpy(dots + s, quarters, sizeof quarters);                                               \
    }                                                                                            \
  }

// Four rows, `count` tokens from `token` on: the unpacked weights of a block stay in eight
// registers while the tokens pass by, their float sums in eight more.
#define DENSE_PART(NAME, TILE, BLOCK_BYTES, UNPACK, DOT4, ZERO)                                  \
  INLINE void NAME(const uint8_t *w, const ember_token_tile *x, size_t tiles, size_t token,      \
                   int count, int quarter, v16f *sums) {                                         \
    float32x4_t acc[8];                                                                          \
    for (int t = 0; t < count; t++) acc[t] = vdupq_n_f32(0);                                     \
    for (size_t b = 0; b < 2 * tiles; b++) {                                                     \
      const uint8_t *tile = w + b / 2 * TILE;                                                    \
      float32x4_t scale = load4_half(tile + 32 * (b % 2) + 8 * quarter);                         \
      uint8x16_t weights[8];                                                                     \
      UNPACK(tile + 64 + b % 2 * BLOCK_BYTES + 16 * quarter, weights);                           \
      size_t at = b * x->tokens + token;                                                         \
      UNROLL                                                                                     \
      for (int t = 0; t < count; t++) {                                                          \
        int32x4_t zero = vdupq_n_s32(-(ZERO) * x->sums[at + t]);                                 \
        int32x4_t dot = DOT4(weights, x->codes + 32 * (at + t), zero);                           \
        float32x4_t both = vmulq_n_f32(scale, x->scales[at + t]);                                \
        acc[t] = vfmaq_f32(acc[t], vcvtq_f32_s32(dot), both);                                    \
      }                                                                                          \
    }                                                                                            \
    for (int t = 0; t < count; t++)                                                              \
      vst1q_f32((float *)(sums + token + t) + 4 * quarter, acc[t]);                              \
  }

#define DENSE_TILE(NAME, PART)                                                                   \
  static void NAME(const uint8_t *w, const ember_token_tile *x, size_t tiles, v16f *sums) {      \
    for (int quarter = 0; quarter < 4; quarter++) {                                              \
      size_t t = 0;                                                                              \
      for (; t + 8 <= x->tokens; t += 8) PART(w, x, tiles, t, 8, quarter, sums);                 \
      if (t + 4 <= x->tokens) { PART(w, x, tiles, t, 4, quarter, sums); t += 4; }                \
      if (t + 2 <= x->tokens) { PART(w, x, tiles, t, 2, quarter, sums); t += 2; }                \
      if (t < x->tokens) PART(w, x, tiles, t, 1, quarter, sums);                                 \
    }                                                                                            \
  }

// DOT for several x.
#define DOT_QUERIES(NAME, UNPACK, DOT4)                                                          \
  INLINE void NAME(const uint8_t *w, const int8_t *const *x, int count, v16i *dot) {             \
    for (int i = 0; i < 4; i++) {                                                                \
      uint8x16_t weights[8];                                                                     \
      UNPACK(w + 16 * i, weights);                                                               \
      for (int t = 0; t < count; t++) {                                                          \
        int32x4_t quarter = DOT4(weights, x[t], vdupq_n_s32(0));                                 \
        memcpy((int32_t *)(dot + t) + 4 * i, &quarter, sizeof quarter);                          \
      }                                                                                          \
    }                                                                                            \
  }

// Sums of sixteen lanes that attention keeps in half of the registers.
enum { ATTENTION_SUMS = 4 };
