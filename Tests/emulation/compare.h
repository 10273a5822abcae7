// Cases, their random inputs and the comparison of two kernel tables: what every group of checks
// shares.
#ifndef EMBER_EMULATION_COMPARE_H
#define EMBER_EMULATION_COMPARE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "ckernels.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

// The table that is trusted, and the one that must give the same bits.
typedef struct {
  const ember_kernels *expected;
  const ember_kernels *tested;
} kernel_pair;

// A case begins: its description is printed if it fails, its random numbers start from the
// program's seed and the case's number, and the memory of the case before is given back.
void begin_case(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *case_description(void);
// Prints how many cases the group had.
void end_group(const char *name);
extern int print_groups;
extern uint64_t program_seed;
extern size_t total_cases;

uint64_t random_bits(void);
size_t random_below(size_t limit);
int one_in(size_t n);
float uniform(float low, float high);
float normal(void);  // roughly: mean 0, deviation 1
uint16_t half_bits(float value);
uint16_t random_half(void);  // any bits: infinities, NaNs and subnormals too
float extreme_float(void);   // zeros, subnormals, the largest, infinities, NaNs

// Memory of `bytes` bytes that lives until the next case. A step beyond it is seen: every one by an
// address checker, without it those beyond the next multiple of 16. It starts `misalignment` bytes
// behind a multiple of 16 and holds a pattern that shows what was not written.
void *room(size_t bytes, size_t misalignment);
void *copy_of(const void *source, size_t bytes, size_t misalignment);
void give_back_rooms(void);  // begin_case does

// Overwrites what earlier calls left on the stack, so that a kernel that reads what it has not
// written cannot find the other kernel's result there.
void forget_stack(void);

// End the program where the two differ. Floats may be different NaNs, in the same places. What is
// expected comes from a recording instead where one is replayed (recording.h), and is there after.
void same_bytes(const char *what, void *expected, const void *got, size_t bytes);
void same_floats(const char *what, float *expected, const float *got, size_t count);

// The groups.
void compare_products(kernel_pair kernels);
void compare_encode(kernel_pair kernels);
void compare_attention(kernel_pair kernels);
void compare_elements(kernel_pair kernels);
void compare_selection(kernel_pair kernels);

#endif
