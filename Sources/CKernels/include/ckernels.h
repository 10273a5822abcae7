// The hand-written kernels: one table of functions per instruction set.
//
// Every function here has a scalar reference in Swift (EmberKernels) that gives the same bits: the
// order of all floating-point operations is part of each function's contract, stated beside it.
// So a result depends neither on the instruction set nor on how many tokens are computed at once.
#ifndef EMBER_CKERNELS_H
#define EMBER_CKERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "ember_moments.h"
#include "ember_peak.h"
#include "ember_sync.h"
#include "ember_system.h"

// A weight matrix [rows, columns] in the model file's layout: groups of 16 rows, each group its
// tiles of 64 columns from left to right, then its outlier steps of 64 bytes; of q4n, q5 and q6, 16
// float row scales before all (formats/model-file.md).
typedef struct {
  const uint8_t *data;
  size_t rows;
  size_t column_tiles;
  size_t group_stride;   // bytes from one group of 16 rows to the next
  size_t outlier_steps;  // 64-byte steps behind the tiles of each group
} ember_matrix;

// What the codes of q4n mean, ascending: the value of a code is its entry − 32. Entries are 0 ... 64.
#define EMBER_Q4N_GRID 0, 5, 11, 16, 20, 24, 27, 30, 33, 35, 38, 41, 45, 49, 54, 60
extern const uint8_t ember_q4n_grid[16];

// Up to 16 input vectors of a matrix product ("a tile of tokens"), as floats and as int8 codes in
// blocks of 32 columns. x ≈ scale · code; a block whose few large values would drown the others
// gets a second set of codes for the remainder: x ≈ scale · code + residual_scale · residual_code.
typedef struct {
  size_t tokens;   // 1 ... 16
  size_t columns;  // a multiple of 64; padding is zero
  const float *values;                // [tokens][columns]
  const float *transposed;            // [columns][16], a token in each lane; or NULL
  const int8_t *codes;                // [columns / 32][tokens][32]
  const float *scales;                // [columns / 32][tokens]
  const int32_t *sums;                // [columns / 32][tokens], sum of a block's codes
  const int16_t *half_sums;           // [columns / 32][tokens][2], those of its halves
  const int8_t *residual_codes;       // as codes; set only in the blocks listed below
  const float *residual_scales;       // as scales; 0 where a token needs no second set
  const int32_t *residual_sums;       // as sums
  const int16_t *residual_half_sums;  // as half_sums
  const uint32_t *residual_blocks;    // ascending
  size_t residual_block_count;
} ember_token_tile;

// Where a product goes: output[token][row], plus bias[row] if given, plus what is there if
// accumulating: (sum + bias) + old.
typedef struct {
  float *output;
  size_t stride;  // floats from one token to the next
  const float *bias;
  int32_t accumulate;
} ember_output;

// Where the codes of a tile of tokens go; the pointers of ember_token_tile, writable.
typedef struct {
  int8_t *codes;
  float *scales;
  int32_t *sums;
  int16_t *half_sums;
  int8_t *residual_codes;
  float *residual_scales;
  int32_t *residual_sums;
  int16_t *residual_half_sums;
  uint32_t *residual_blocks;
} ember_tile_storage;

// The queries that look at one key/value head, and its keys and values: in half precision, or as
// codes of 8 bits (−128 ... 127) or 4 (−8 ... 7) in blocks of 32 dimensions with a half as scale,
// x ≈ scale · code; the last block of a head is filled up with zeros. blocks = ⌈dimension / 32⌉.
typedef struct {
  size_t tokens;
  size_t heads;              // queries of a token; they come one behind the other, token by token
  size_t first_visible;      // positions that the first token sees, itself included; the next, one more
  size_t dimension;
  size_t padded_dimension;   // a multiple of 16, at most EMBER_MAXIMUM_HEAD_DIMENSION
  // 1: every token sees first_visible positions, as of an encoder; 0: causal, as said above.
  int32_t sees_all;
  // A token sees the last `window` of those positions, its own included; 0: all. 0 where sees_all.
  size_t window;
  float soft_cap;  // score = soft_cap · tanh(score / soft_cap), as soft_cap below; 0: as it is
  // Then added to a score: bias[query of the token · bias_stride + distance], finite, where the
  // distance is the token's position less the key's, below 0 if the key comes later. Read for what
  // the token sees, nowhere else. The first token stands at first_position, the next at one more.
  // NULL: nothing.
  const float *bias;
  size_t bias_stride;
  size_t first_position;

  // attend: half keys [position / 16][dimension][16], values [position][padded_dimension].
  // Keys of 8 bits, as the weights of a q8 matrix: code + 128 in unsigned bytes
  // [position / 16][blocks][8][16 positions][4 dimensions]. Values of 8 bits: int8
  // [position][padded_dimension].
  // Keys of 4 bits, as those of a q4 matrix: code + 8, bytes [position / 16][blocks][4][16
  // positions][4 dimensions], the dimension 16 further in the upper half of the byte. Values of 4
  // bits likewise: bytes [position][blocks][16 dimensions].
  const void *keys;
  const void *values;
  const uint16_t *key_scales;    // of codes: half [position / 16][blocks][16]
  const uint16_t *value_scales;  // likewise

  // Scaled by 1/sqrt(dimension), rotated.
  const float *queries;         // attend: [tokens][query_stride], of these [heads][dimension]
  size_t query_stride;
  const int8_t *query_codes;    // of codes: [tokens][query_blocks][32], of these [heads][blocks][32]
  const float *query_scales;    // of codes: [tokens][query_blocks]
  const int32_t *query_sums;    // of codes: [tokens][query_blocks], sum of a block's codes
  size_t query_blocks;

  float *states;   // [tokens · heads][padded_dimension + 16]: sums of values, maximum, denominator
  float *scratch;  // as states; only where more than one piece is computed
} ember_attention;

// The integers that a block of weights may become, and the scales to try for it.
typedef struct {
  float lowest, highest;   // the first and the last integer, −8 ... 7
  const float *factors;    // multiples of the inverse scale lowest / extreme
  size_t factor_count;
  int32_t both_signs;      // whether to try the negative multiples too
} ember_grid;

// The values that the codes of a group of 16 stand for, and the scales to try.
typedef struct {
  float lowest, highest;
  const float *values;   // sixteen, ascending; NULL: the integers from lowest to highest
  const float *middles;  // fifteen, halfway between them; NULL with the integers
  const float *factors;  // multiples of the inverse scale that takes the extreme to either end
  size_t factor_count;
} ember_levels;

// Positions per step of the online softmax, and positions that are a piece of work: part of the
// result's definition.
#define EMBER_ATTENTION_CHUNK 64
#define EMBER_ATTENTION_PIECE 256
#define EMBER_MAXIMUM_HEAD_DIMENSION 1024

// Digits that count_keys tells apart, each in four sets.
#define EMBER_SELECTION_BINS 2048

typedef struct {
  // Codes of one tile of tokens from their values; returns residual_block_count.
  // scale = max|x| / 127, code = nearest even of x · (127 / max|x|). A block gets residual codes
  // where at least 16 of its 32 codes lie in -4 ... 4 (and max|x| is finite and not 0).
  size_t (*quantize)(const float *values, size_t tokens, size_t columns, ember_tile_storage storage);

  // transposed[column][16] of a tile's values [tokens][columns]: a token in each lane, then zeros. A
  // product with outliers needs it to be fast with many tokens; the bits are the same without.
  void (*transpose)(const float *values, size_t tokens, size_t columns, float *transposed);

  // Encodes blocks of 32 weights, w ≈ scale · code, each with the scale that loses least.
  // Each factor gives an inverse scale, the integers nearest to the weights under it, and for these
  // the best scale d = Σ h·w·q / Σ h·q² (h the importance), which gains (Σ h·w·q)² / Σ h·q². The
  // first largest gain wins; its scale is rounded to half and the integers are chosen anew.
  // scales are halves, errors Σ h·(w − scale·code)².
  void (*encode)(const float *weights, const float *importance, size_t blocks,
                 const ember_grid *grid, int8_t *codes, uint16_t *scales, float *errors);

  // The scale of each group of 16 weights: as encode, but for either end of the levels, and the
  // scale is not rounded.
  void (*search_groups)(const float *weights, const float *importance, size_t groups,
                        const ember_levels *levels, float *scales);
  // Codes at given scales (the nearest level to w · (1 / scale)), and errors as encode's.
  void (*round_groups)(const float *weights, const float *importance, size_t groups,
                       const ember_levels *levels, const float *scales, uint8_t *codes, float *errors);

  // Row groups first ..< first + count of a product with one tile of tokens.
  // Per row: blocks in ascending order, each acc = fma(float(dot), half scale · token scale, acc);
  // then residual blocks likewise; then outlier steps, acc = fma(value, x[column], acc).
  void (*multiply_q4)(ember_matrix m, const ember_token_tile *x, ember_output y, size_t first, size_t count);
  void (*multiply_q8)(ember_matrix m, const ember_token_tile *x, ember_output y, size_t first, size_t count);
  // Per row: blocks of 32 columns in ascending order, each acc = fma(float(dot), token scale, acc),
  // where dot = Σ over the block's halves of int8 scale · Σ value · code, an integer below 2^24;
  // then residual blocks likewise; then acc = acc · row scale; then outlier steps as above.
  void (*multiply_q4n)(ember_matrix m, const ember_token_tile *x, ember_output y, size_t first, size_t count);
  void (*multiply_q5)(ember_matrix m, const ember_token_tile *x, ember_output y, size_t first, size_t count);
  void (*multiply_q6)(ember_matrix m, const ember_token_tile *x, ember_output y, size_t first, size_t count);
  // Columns in ascending order, each acc = fma(weight, x[column], acc).
  void (*multiply_f16)(ember_matrix m, const ember_token_tile *x, ember_output y, size_t first, size_t count);

  // Codes of one query in blocks of 32, by the first rule of quantize.
  void (*quantize_query)(const float *query, size_t dimension, int8_t *codes, float *scales, int32_t *sums);

  // Attention with the online softmax (Milakov and Gimelshein 2018; Flash Attention,
  // Dao et al. 2022, algorithm 1), in chunks of EMBER_ATTENTION_CHUNK positions. Each piece of
  // EMBER_ATTENTION_PIECE positions has a softmax of its own, so that threads can share one
  // query's positions; the pieces' states are joined in ascending order.
  // Computes the pieces first ..< first + count of all queries, joined, into a->states; count is 1 or
  // more. The state of a query that sees nothing of them has the maximum −infinity and else zeros,
  // and is joined as if it were not there: pieces before the first token's window may be left out.
  // Where a chunk has something seen, all its keys are read, of its values only those seen.
  // A score is Σ key · query, one fma per dimension in ascending order; of codes one per block,
  // fma(float(dot), half scale · query scale, score). Then come the soft cap and the bias. A sum of
  // values is one fma per visible position, value · weight, of codes code · (weight · scale).
  void (*attend)(const ember_attention *a, size_t first, size_t count);
  void (*attend_q8)(const ember_attention *a, size_t first, size_t count);    // keys and values of 8 bits
  void (*attend_q8q4)(const ember_attention *a, size_t first, size_t count);  // keys of 8, values of 4
  void (*attend_q4)(const ember_attention *a, size_t first, size_t count);    // keys and values of 4
  // output[dimension] of one query: joins the states of `count` consecutive runs of pieces, `stride`
  // floats apart, and divides by the denominator. The first state is overwritten. One of them must
  // have seen a position.
  void (*join_attention)(float *states, size_t count, size_t stride, size_t dimension,
                         size_t padded_dimension, float *output);

  // out = x / sqrt(mean(x²) + epsilon) · gain
  void (*rms_norm)(const float *x, const float *gain, float epsilon, size_t n, float *out);
  // out = (x − mean) / sqrt(variance + epsilon) · gain + bias; bias may be null
  void (*layer_norm)(const float *x, const float *gain, const float *bias, float epsilon, size_t n, float *out);
  // x = x · σ(x), in place; error at most 4e-7 relative plus 1e-36 absolute (below −88 it ends)
  void (*silu)(float *x, size_t n);
  // x = x · Φ(x) in its tanh approximation, in place; error at most 1e-5 relative plus 1e-6
  void (*gelu_tanh)(float *x, size_t n);
  // x = x · Φ(x) with the exact Φ (that of erf), in place; error at most 5e-7 absolute
  void (*gelu)(float *x, size_t n);
  // x = 0 where x < 0, in place; a NaN and a zero of either sign stay
  void (*relu)(float *x, size_t n);
  // x = cap · tanh(x / cap), in place, cap positive and finite; error at most 4e-7 relative
  void (*soft_cap)(float *x, float cap, size_t n);
  // x = x · y, in place
  void (*multiply_elements)(float *x, const float *y, size_t n);
  // x = x + y, in place
  void (*add_elements)(float *x, const float *y, size_t n);
  // Turns `pairs` pairs of values in place, (a, b) to (a · cos − b · sin, a · sin + b · cos), each
  // operation rounded: the rotary embedding of one head. turn holds the cosines, then the sines.
  // The pairs are x[i] and x[pairs + i], or x[2i] and x[2i + 1] where halves is 0.
  void (*rotate)(float *x, const float *turn, size_t pairs, int32_t halves);
  // x = exp(x − max) and returns their sum (16 partial sums, folded in halves)
  float (*exponentials)(float *x, float max, size_t n);
  // The largest of n values, a zero of either sign; −infinity where n is 0
  float (*maximum)(const float *x, size_t n);

  // Selection among logits, by keys: the integers in whose order their floats are, the same for
  // zeros of either sign (b ^ 0x80000000 of the bits b of x + 0 for x ≥ 0, else ~b). NaNs have keys
  // beyond those of the infinities.
  //
  // The smallest and the largest of n values, zeros of either sign; +infinity and −infinity where n
  // is 0. Returns whether all are below +infinity; where not, the two mean nothing.
  int32_t (*extremes)(const float *x, size_t n, float *lowest, float *highest);
  // Those values whose key is in lowest ... highest, in their order, and their ids: ids[i], or
  // first + i where ids is null. Returns their number; there is room for n, and what is behind
  // that number may be overwritten. The outputs may be the inputs or lie before them.
  size_t (*select_keys)(const float *x, const int32_t *ids, int32_t first, size_t n, uint32_t lowest,
                        uint32_t highest, int32_t *kept_ids, float *kept);
  // weights[i] = 0 unless x[i] ≥ limit; x may be the weights
  void (*drop_below)(float *weights, const float *x, float limit, size_t n);
  // Σ of weights, each 0 ... 1, in units of 2^−36 to the nearest, ties to even: integers, so that
  // sums do not depend on their order
  uint64_t (*sum_units)(const float *weights, size_t n);
  // bins[4 · digit + i mod 4] += the units of weights[i], or 1 where weights is null. The digit of
  // x[i] is (key − lowest) >> shift, shift ≤ 31, taken to its last 11 bits.
  void (*count_keys)(const float *x, const float *weights, size_t n, uint32_t lowest, uint32_t shift,
                     uint64_t *bins);
} ember_kernels;

#if defined(__x86_64__)
extern const ember_kernels ember_kernels_avx2;
extern const ember_kernels ember_kernels_avxvnni;
extern const ember_kernels ember_kernels_avx512vnni;
#elif defined(__aarch64__)
extern const ember_kernels ember_kernels_neon;  // every arm64 processor
extern const ember_kernels ember_kernels_neon_dotprod;
extern const ember_kernels ember_kernels_neon_i8mm;
#endif

// Whether this machine (and its operating system) can run a table.
int32_t ember_supports_avx2(void);
int32_t ember_supports_avxvnni(void);
int32_t ember_supports_avx512vnni(void);
int32_t ember_supports_neon_dotprod(void);
int32_t ember_supports_neon_i8mm(void);

#endif
