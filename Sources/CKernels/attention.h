// Attention over a key/value cache in half precision (16 bits) or as codes of 8 or 4 bits, keys and
// values apart, included by kernels_common.h.
//
// Up to four queries go through a chunk of positions together: what is loaded and converted once is
// multiplied with all of them. Keys lie so that sixteen positions are a vector, values so that
// sixteen dimensions are; both products are then sums of vectors times scalars, and no sum across a
// register is needed but in the softmax. The order of the operations of one query does not depend
// on the others.

enum { CHUNK = EMBER_ATTENTION_CHUNK, CHUNK_VECTORS = CHUNK / 16, SHARING = 4 };

// Vectors of sixteen that `count` queries are multiplied with at a time.
INLINE int vectors_for(int count, int most) {
  int vectors = count == 3 ? ATTENTION_SUMS / 4 : ATTENTION_SUMS / count;
  return vectors < most ? vectors : most;
}

INLINE const float *query_at(const ember_attention *a, size_t i) {
  return a->queries + i / a->heads * a->query_stride + i % a->heads * a->dimension;
}

// Positions that query i sees, where no window hides the first of them.
INLINE size_t visible_to(const ember_attention *a, size_t i) {
  return a->sees_all ? a->first_visible : a->first_visible + i / a->heads;
}

// Those that the window hides.
INLINE size_t hidden_from(const ember_attention *a, size_t i) {
  if (a->window == 0) return 0;
  size_t visible = visible_to(a, i);
  return visible > a->window ? visible - a->window : 0;
}

// How many of the first `positions` positions lie in the chunk at `start`.
INLINE size_t within_chunk(size_t positions, size_t start) {
  if (positions <= start) return 0;
  return positions - start < CHUNK ? positions - start : CHUNK;
}

// Scores of a chunk: sixteen positions after the other, or several sixteens at once.
INLINE void score_half(const ember_attention *a, size_t first, int count, size_t start,
                       float (*scores)[CHUNK]) {
  const float *query[SHARING];
  for (int q = 0; q < count; q++) query[q] = query_at(a, first + q);
  const int vectors = vectors_for(count, CHUNK_VECTORS);
  const size_t group = 16 * a->dimension;
  const uint16_t *keys = (const uint16_t *)a->keys + start * a->dimension;
  for (int g = 0; g < CHUNK_VECTORS; g += vectors, keys += vectors * group) {
    v16f sum[SHARING][CHUNK_VECTORS];
    for (int q = 0; q < count; q++)
      for (int v = 0; v < vectors; v++) sum[q][v] = 0;
    for (size_t d = 0; d < a->dimension; d++) {
      v16f key[CHUNK_VECTORS];
      for (int v = 0; v < vectors; v++) key[v] = load16_half(keys + v * group + 16 * d);
      if (count > 1) __builtin_prefetch(keys + 16 * d + CHUNK * a->dimension, 0, 2);
      for (int q = 0; q < count; q++) {
        v16f x = query[q][d];
        for (int v = 0; v < vectors; v++) sum[q][v] = fma16(key[v], x, sum[q][v]);
      }
    }
    for (int q = 0; q < count; q++)
      for (int v = 0; v < vectors; v++) store16(scores[q] + 16 * (g + v), sum[q][v]);
  }
}

INLINE void score_codes(const ember_attention *a, size_t first, int count, size_t start,
                        float (*scores)[CHUNK], int bits) {
  const int32_t zero = bits == 8 ? Q8_ZERO : Q4_ZERO;
  const size_t blocks = (a->dimension + 31) / 32;
  size_t at[SHARING];
  for (int q = 0; q < count; q++) {
    size_t i = first + q;
    at[q] = i / a->heads * a->query_blocks + i % a->heads * blocks;
  }
  const size_t block_bytes = 64 * bits;
  const uint8_t *keys = (const uint8_t *)a->keys + start / 16 * blocks * block_bytes;
  const uint16_t *scales = a->key_scales + start * blocks;
  for (int g = 0; g < CHUNK_VECTORS; g++) {
    v16f sum[SHARING];
    for (int q = 0; q < count; q++) sum[q] = 0;
    for (size_t b = 0; b < blocks; b++, keys += block_bytes, scales += 16) {
      const int8_t *codes[SHARING];
      v16i dot[SHARING];
      for (int q = 0; q < count; q++) codes[q] = a->query_codes + 32 * (at[q] + b);
      if (bits == 8)
        dot_q8_queries(keys, codes, count, dot);
      else
        dot_q4_queries(keys, codes, count, dot);
      v16f scale = load16_half(scales);
      for (int q = 0; q < count; q++) {
        v16i product = dot[q] - (v16i)(zero * a->query_sums[at[q] + b]);
        sum[q] = fma16(to_float(product), scale * (v16f)a->query_scales[at[q] + b], sum[q]);
      }
    }
    for (int q = 0; q < count; q++) store16(scores[q] + 16 * g, sum[q]);
  }
}

// The soft cap, then the bias of scores, then −infinity for the first `hidden` positions. The bias
// reaches as far as what is seen: beyond that there need be none.
static __attribute__((noinline)) void adjust_scores(const ember_attention *a, size_t first,
                                                    int count, size_t start, size_t hidden,
                                                    const size_t *n, float (*scores)[CHUNK]) {
  for (int q = 0; q < count; q++) {
    float *score = scores[q];
    for (int g = 0; a->soft_cap != 0 && g < CHUNK_VECTORS; g++)
      store16(score + 16 * g, soft_cap16(load16(score + 16 * g), a->soft_cap));
    if (a->bias) {
      size_t token = (first + q) / a->heads, row = (first + q) % a->heads * a->bias_stride;
      ptrdiff_t nearest = (ptrdiff_t)(row + a->first_position + token) - (ptrdiff_t)start;
      for (size_t j = hidden; j < n[q]; j++) score[j] += a->bias[nearest - (ptrdiff_t)j];
    }
    for (size_t j = 0; j < hidden; j++) score[j] = -__builtin_inff();
  }
}

// Where one is a NaN, the second.
#define LARGER(a, b) ((a) > (b) ? (a) : (b))
FOLD(largest_of_lanes, LARGER)

// Scores of the n[q] visible positions become weights e^(score − maximum), those of the others
// zeros. Updates the states' maxima and denominators; kept[q] is the factor for what has been summed
// up so far. Step by step for all queries, so that none waits for its own reductions.
INLINE void weigh(int count, float (*scores)[CHUNK], const size_t *n, float *const *maximum,
                  float *kept) {
  const v16i lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const v16f lowest = -__builtin_inff();
  float max[SHARING], total[SHARING];
  for (int q = 0; q < count; q++) {
    v16f top = lowest;
    for (int g = 0; g < CHUNK_VECTORS; g++) {
      v16f s = load16(scores[q] + 16 * g);
      if (n[q] < CHUNK) {
        s = select16(lane + 16 * g < (v16i)(int32_t)n[q], s, lowest);
        store16(scores[q] + 16 * g, s);
      }
      top = LARGER(s, top);
    }
    max[q] = largest_of_lanes(top);
  }
  for (int q = 0; q < count; q++) {
    float old = *maximum[q];
    if (old > max[q]) max[q] = old;
    v16f sum = 0;
    for (int g = 0; g < CHUNK_VECTORS; g++) {
      v16f s = exp16_of_negative(load16(scores[q] + 16 * g) - (v16f)max[q]);
      store16(scores[q] + 16 * g, s);
      sum = sum + s;
    }
    total[q] = sum_of_lanes(sum);
    kept[q] = exp16_of_negative((v16f)(old - max[q]))[0];
  }
  for (int q = 0; q < count; q++) {
    if (n[q] == 0) {
      kept[q] = 1;
      continue;
    }
    maximum[q][0] = max[q];
    maximum[q][1] = __builtin_fmaf(maximum[q][1], kept[q], total[q]);
  }
}

// Bytes of the values of a position.
INLINE size_t value_stride(const ember_attention *a, int bits) {
  return bits == 4 ? (a->dimension + 31) / 32 * 16 : a->padded_dimension * (size_t)(bits / 8);
}

// The bytes with dimension d of a position. Dimensions 16 apart share a byte of 4 bits.
INLINE const uint8_t *values_at(const ember_attention *a, size_t position, size_t d, int bits) {
  size_t within = bits == 4 ? d / 32 * 16 : d * (size_t)(bits / 8);
  return (const uint8_t *)a->values + position * value_stride(a, bits) + within;
}

// Sixteen dimensions from d on, where `p` is the place of d.
INLINE v16f load_values(const uint8_t *p, size_t d, int bits) {
  if (bits == 16) return load16_half((const uint16_t *)p);
  if (bits == 8) return codes_as_float((const int8_t *)p);
  v16b pairs;
  memcpy(&pairs, p, 16);
  v16b codes = d % 32 == 0 ? pairs & 15 : pairs >> 4;
  return __builtin_convertvector((v16c)codes - (int8_t)Q4_ZERO, v16f);
}

// state = state · kept + Σ weight · value in 16 · vectors dimensions from d on. Each query sees at
// least as many positions as the one before it: the first one's are everyone's. The first `hidden`
// positions are no one's.
INLINE void add_values(const ember_attention *a, int count, int vectors, size_t start, size_t d,
                       float (*weights)[CHUNK], size_t hidden, const size_t *n, const float *kept,
                       float *const *state, int bits) {
  const size_t stride = value_stride(a, bits);
  const uint8_t *at[CHUNK_VECTORS];
  v16f sum[SHARING][CHUNK_VECTORS];
  for (int v = 0; v < vectors; v++) at[v] = values_at(a, start, d + 16 * v, bits);
  for (int q = 0; q < count; q++)
    for (int v = 0; v < vectors; v++) sum[q][v] = load16(state[q] + d + 16 * v) * (v16f)kept[q];
  for (size_t j = hidden; j < n[0]; j++) {
    v16f value[CHUNK_VECTORS];
    for (int v = 0; v < vectors; v++)
      value[v] = load_values(at[v] + j * stride, d + 16 * v, bits);
    if (count > 1) __builtin_prefetch(at[0] + (j + CHUNK) * stride, 0, 2);
    for (int q = 0; q < count; q++) {
      v16f x = weights[q][j];
      for (int v = 0; v < vectors; v++) sum[q][v] = fma16(value[v], x, sum[q][v]);
    }
  }
  for (int q = 0; q < count; q++)
    for (int v = 0; v < vectors; v++) {
      for (size_t j = n[0]; j < n[q]; j++)
        sum[q][v] = fma16(load_values(at[v] + j * stride, d + 16 * v, bits), (v16f)weights[q][j],
                          sum[q][v]);
      store16(state[q] + d + 16 * v, sum[q][v]);
    }
}

INLINE void add_half_values(const ember_attention *a, int count, size_t start,
                            float (*weights)[CHUNK], size_t hidden, const size_t *n,
                            const float *kept, float *const *state) {
  const int vectors = vectors_for(count, CHUNK_VECTORS);
  size_t d = 0;
  for (; d + 16 * vectors <= a->padded_dimension; d += 16 * vectors)
    add_values(a, count, vectors, start, d, weights, hidden, n, kept, state, 16);
  for (; d < a->padded_dimension; d += 16)
    add_values(a, count, 1, start, d, weights, hidden, n, kept, state, 16);
}

// The scales of a block's 32 dimensions are taken into the weights.
INLINE void add_codes(const ember_attention *a, int count, size_t start, float (*weights)[CHUNK],
                      size_t hidden, const size_t *n, const float *kept, float *const *state,
                      int bits) {
  const size_t blocks = (a->dimension + 31) / 32;
  const int vectors = vectors_for(count, 2);
  for (size_t b = 0; b < blocks; b++) {
    float scaled[SHARING][CHUNK];
    for (int g = 0; g < CHUNK_VECTORS; g++) {
      v16f scale = load16_half(a->value_scales + start * blocks + 16 * (g * blocks + b));
      for (int q = 0; q < count; q++)
        store16(scaled[q] + 16 * g, load16(weights[q] + 16 * g) * scale);
    }
    size_t d = 32 * b, end = d + 32 < a->padded_dimension ? d + 32 : a->padded_dimension;
    for (; d + 16 * vectors <= end; d += 16 * vectors)
      add_values(a, count, vectors, start, d, scaled, hidden, n, kept, state, bits);
    for (; d < end; d += 16)
      add_values(a, count, 1, start, d, scaled, hidden, n, kept, state, bits);
  }
}

// One chunk of `count` neighbouring queries, whose windows all hide its first `hidden` positions.
INLINE void attend_chunk(const ember_attention *a, size_t first, int count, size_t start,
                         size_t hidden, float *states, int key_bits, int value_bits) {
  const size_t padded = a->padded_dimension, stride = padded + 16;
  float weights[SHARING][CHUNK], kept[SHARING], *state[SHARING], *maximum[SHARING];
  size_t n[SHARING];
  for (int q = 0; q < count; q++) n[q] = within_chunk(visible_to(a, first + q), start);
  if (n[count - 1] <= hidden) return;
  if (key_bits == 16)
    score_half(a, first, count, start, weights);
  else
    score_codes(a, first, count, start, weights, key_bits);
  if (hidden || a->soft_cap != 0 || a->bias)
    adjust_scores(a, first, count, start, hidden, n, weights);
  for (int q = 0; q < count; q++) {
    state[q] = states + (first + q) * stride;
    maximum[q] = state[q] + padded;
  }
  weigh(count, weights, n, maximum, kept);
  if (value_bits == 16)
    add_half_values(a, count, start, weights, hidden, n, kept, state);
  else
    add_codes(a, count, start, weights, hidden, n, kept, state, value_bits);
}

// One chunk of the queries from i to before `end`.
INLINE void attend_queries(const ember_attention *a, size_t i, size_t end, size_t start,
                           size_t hidden, float *states, int key_bits, int value_bits) {
  for (; i + 4 <= end; i += 4)
    attend_chunk(a, i, 4, start, hidden, states, key_bits, value_bits);
  if (end - i == 3) attend_chunk(a, i, 3, start, hidden, states, key_bits, value_bits);
  if (end - i == 2) attend_chunk(a, i, 2, start, hidden, states, key_bits, value_bits);
  if (end - i == 1) attend_chunk(a, i, 1, start, hidden, states, key_bits, value_bits);
}

// The states of all queries after the positions from `start` to before `end`.
INLINE void attend_piece(const ember_attention *a, size_t start, size_t end, float *states,
                         int key_bits, int value_bits) {
  const size_t padded = a->padded_dimension, queries = a->tokens * a->heads;
  for (size_t i = 0; i < queries; i++) {
    float *state = states + i * (padded + 16);
    memset(state, 0, padded * sizeof(float));
    state[padded] = -__builtin_inff();
    state[padded + 1] = 0;
  }
  const size_t hidden_from_last = hidden_from(a, queries - 1);
  for (; start < end; start += CHUNK) {
    // Where a window begins within the chunk, only the queries of one token have the same.
    const int apart = hidden_from_last > start;
    size_t i = 0;
    do {
      size_t next = apart ? i + a->heads : queries;
      size_t hidden = apart ? within_chunk(hidden_from(a, i), start) : 0;
      attend_queries(a, i, next, start, hidden, states, key_bits, value_bits);
      i = next;
    } while (i < queries);
  }
}

// The state after the positions of both; the second's come later. One that has seen none changes
// nothing: it alone has the denominator 0, as the largest score's weight is 1.
INLINE void join_states(float *state, const float *later, size_t padded) {
  if (later[padded + 1] == 0) return;
  if (state[padded + 1] == 0) {
    memcpy(state, later, (padded + 2) * sizeof(float));
    return;
  }
  float old = state[padded], max = later[padded];
  if (old > max) max = old;
  v16f kept = exp16_of_negative((v16f)(old - max));
  v16f added = exp16_of_negative((v16f)(later[padded] - max));
  for (size_t d = 0; d < padded; d += 16)
    store16(state + d, fma16(load16(later + d), added, load16(state + d) * kept));
  state[padded] = max;
  state[padded + 1] = __builtin_fmaf(later[padded + 1], added[0], state[padded + 1] * kept[0]);
}

INLINE void attend_pieces(const ember_attention *a, size_t first, size_t count, int key_bits,
                          int value_bits) {
  const size_t padded = a->padded_dimension, queries = a->tokens * a->heads;
  const size_t positions = a->first_visible + (a->sees_all ? 0 : a->tokens - 1);
  for (size_t piece = first; piece < first + count; piece++) {
    size_t start = piece * EMBER_ATTENTION_PIECE, end = start + EMBER_ATTENTION_PIECE;
    float *states = piece == first ? a->states : a->scratch;
    attend_piece(a, start, positions < end ? positions : end, states, key_bits, value_bits);
    if (piece == first) continue;
    for (size_t i = 0; i < queries; i++)
      join_states(a->states + i * (padded + 16), states + i * (padded + 16), padded);
  }
}

static void attend(const ember_attention *a, size_t first, size_t count) {
  attend_pieces(a, first, count, 16, 16);
}

static void attend_q8(const ember_attention *a, size_t first, size_t count) {
  attend_pieces(a, first, count, 8, 8);
}

static void attend_q8q4(const ember_attention *a, size_t first, size_t count) {
  attend_pieces(a, first, count, 8, 4);
}

static void attend_q4(const ember_attention *a, size_t first, size_t count) {
  attend_pieces(a, first, count, 4, 4);
}

static void join_attention(float *states, size_t count, size_t stride, size_t dimension,
                           size_t padded, float *output) {
  for (size_t i = 1; i < count; i++) join_states(states, states + i * stride, padded);
  float denominator = states[padded + 1];
  for (size_t d = 0; d < dimension; d++) output[d] = states[d] / denominator;
}

static void quantize_query(const float *query, size_t dimension, int8_t *codes, float *scales,
                           int32_t *sums) {
  for (size_t d = 0; d < dimension; d += 32) {
    size_t n = dimension - d < 32 ? dimension - d : 32;
    v16f low = load_first(query + d, n < 16 ? n : 16);
    v16f high = n > 16 ? load_first(query + d + 16, n - 16) : (v16f)0;
    int16_t half_sums[2];
    encode_block(low, high, codes + d, scales + d / 32, half_sums);
    sums[d / 32] = half_sums[0] + half_sums[1];
  }
}
