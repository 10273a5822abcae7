// What the thread team needs below Swift: atomic counters to claim pieces of work from, waits that
// spin for a bounded time and then sleep in the kernel, and a gate for workers that come late.
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

// Where workers join a step that is open. Whoever comes after it was closed stays outside, so
// closing waits only for workers that are inside. All zeros is a closed gate.
typedef struct {
  uint32_t state;  // open, whether the closer sleeps, seats left, workers inside: see sync.c
  uint32_t padding[15];
} ember_gate;

// The most seats that a gate can have.
#define EMBER_GATE_SEATS 0x7fff

// Opens a closed gate to `seats` workers. What was written before is visible to those who enter.
void ember_gate_open(ember_gate *gate, uint32_t seats);
// Enters if the gate is open and has a seat left: 1, or 0.
int32_t ember_gate_enter(ember_gate *gate);
// Leaves. What was written before is visible to who closes the gate.
void ember_gate_leave(ember_gate *gate);
// Closes the gate and returns when nobody is inside: spins at most `spins` pauses, then sleeps.
void ember_gate_close(ember_gate *gate, uint32_t spins);

#endif
