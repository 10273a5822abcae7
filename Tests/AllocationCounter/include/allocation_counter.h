// Counts heap allocations of the whole process, for tests that assert there are none.
#ifndef EMBER_ALLOCATION_COUNTER_H
#define EMBER_ALLOCATION_COUNTER_H

#include <stdint.h>

// Whether allocations can be counted here: with glibc, and without a sanitizer, which has an
// allocator of its own.
int32_t allocation_counter_is_available(void);
// Sets the count to 0 and begins to count.
void allocation_counter_start(void);
// Ends counting; returns the number of blocks allocated or resized since it began, by any thread.
uint64_t allocation_counter_stop(void);

#endif
