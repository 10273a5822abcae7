// The processor's arithmetic alone: loops that keep its multipliers busy and touch no memory. What
// they reach is what a matrix product could reach at most.
#ifndef EMBER_PEAK_H
#define EMBER_PEAK_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  const char *instructions;  // such as "vpdpbusd zmm"; a constant
  size_t operations;         // multiplications and additions of one round
  float (*run)(size_t rounds);  // the result depends on every round
} ember_peak;

// The fastest multiply-add of a kernel table's instruction set, by the table's name; for "scalar",
// "portable" and names that are not known here, the fastest of the machine.
ember_peak ember_peak_int8(const char *kernels);
ember_peak ember_peak_f32(const char *kernels);

#endif
