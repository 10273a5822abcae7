// The inner loop of second moments: a block of Σ x xᵀ.
#ifndef EMBER_MOMENTS_H
#define EMBER_MOMENTS_H

#include <stddef.h>

// block[16][16] += Σ over the tokens of left[token][i] · right[token][j], in single precision: each
// product and each sum rounded by itself, in the order of the tokens, so that the portable loop in
// Swift (EmberQuantizer's MomentKernel) gives the same bits. The sum is added in double precision.
// Needs AVX2; does nothing where that cannot be.
void ember_moment_block_avx2(const float *left, const float *right, size_t tokens, double *block);

#endif
