// The inner loops of error feedback (GPTQ): the factor of the second moments, and what the columns
// that are still to be rounded take of the errors made.
#ifndef EMBER_FEEDBACK_H
#define EMBER_FEEDBACK_H

#include <stddef.h>
#include <stdint.h>

// Both give the bits of the portable loops in Swift (EmberQuantizer's UnsafeFeedbackKernel): each
// product and each difference is rounded by itself, in ascending order of the sums' index. They need
// AVX2, and do nothing where that cannot be.

// c[i][j] -= Σ over k of a[k][i] · b[k][j], tiles of 64 × 64; a tile is stored in panels of eight
// columns, [8][64][8].
void ember_factor_tile_avx2(const double *a, const double *b, double *c);

// weights[columns[c]][lane] -= Σ over r of factor[r][c] · errors[r][lane]: 64 errors, 64 columns,
// 16 lanes.
void ember_feedback_tile_avx2(
    const float *factor, const float *errors, const uint32_t *columns, float *weights);

#endif
