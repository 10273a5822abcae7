// Activations of every kind, as the quantizer of tokens must expect them.
#ifndef EMBER_EMULATION_TOKENS_H
#define EMBER_EMULATION_TOKENS_H

#include "compare.h"

typedef enum {
  ORDINARY,        // roughly normal
  FEATURE_64,      // one value of a block 64 times its neighbours: a second set of codes
  FEATURE_1000,    // likewise, 1000 times
  ALL_ZERO,
  TINY,            // around the smallest scale (1e-30) and subnormal
  ALL_LARGEST,     // every code 127 or −127
  HUGE_VALUES,     // up to the largest float
  NOT_FINITE,      // NaNs and infinities among ordinary values
  MIXED,           // each block of its own kind
  ACTIVITY_COUNT,
} activity;
extern const char *const activity_names[];

// Values [tokens][padded columns] in memory of their own; the padding is zero.
float *random_values(activity kind, size_t tokens, size_t columns);
size_t padded_columns(size_t columns);

// The tile that both tables' quantize must agree on.
ember_token_tile quantized_tile(kernel_pair kernels, const float *values, size_t tokens,
                                size_t padded);

#endif
