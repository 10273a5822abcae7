// What the thread team needs below Swift: atomic counters to claim pieces of work from, and a wait
// that spins for a bounded time and then sleeps in the kernel.
#ifndef EMBER_SYNC_H
#define EMBER_SYNC_H

#include <stdint.h>

// One phase of a step: `count` pieces, claimed one at a time, then waited for.
// A cache line each (allocate them 64-byte aligned), so that phases do not disturb each other.
typedef struct {
  uint32_t next;      // the next piece to claim
  uint32_t done;      // pieces finished; a waiter may sleep on it
  uint32_t sleepers;  // waiters asleep
  uint32_t padding[13];
} ember_phase;

// Claims a piece; the result is at least `count` where none is left.
uint32_t ember_phase_claim(ember_phase *phase, uint32_t count);
// Tells that `pieces` claimed pieces are finished; wakes the sleepers where they were the last.
void ember_phase_finish(ember_phase *phase, uint32_t pieces, uint32_t count);
// Returns when all `count` pieces are finished: spins at most `spins` pauses, then sleeps.
void ember_phase_wait(ember_phase *phase, uint32_t count, uint32_t spins);
// Makes phases ready for a new step; no thread may be using them.
void ember_phase_reset(ember_phase *phases, uint32_t count);

#endif
