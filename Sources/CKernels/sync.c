#define _GNU_SOURCE  // syscall
#include "ember_sync.h"

#include <string.h>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <sched.h>
#include <time.h>
#endif

static inline void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

uint32_t ember_phase_claim(ember_phase *phase, uint32_t count) {
  // Reading first spares a late worker the contended write.
  uint32_t next = __atomic_load_n(&phase->next, __ATOMIC_RELAXED);
  if (next >= count) return count;
  return __atomic_fetch_add(&phase->next, 1, __ATOMIC_RELAXED);
}

static void sleep_until_changed(uint32_t *word, uint32_t seen) {
#if defined(__linux__)
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, 0, 0, 0);
#else
  (void)word;
  (void)seen;
  struct timespec shortly = {0, 50000};
  nanosleep(&shortly, 0);
#endif
}

void ember_phase_finish(ember_phase *phase, uint32_t pieces, uint32_t count) {
  uint32_t before = __atomic_fetch_add(&phase->done, pieces, __ATOMIC_SEQ_CST);
  if (before + pieces != count) return;
  // A waiter announces itself before it looks at `done` for the last time, so either it sees the
  // last piece or we see it.
  if (__atomic_load_n(&phase->sleepers, __ATOMIC_SEQ_CST) == 0) return;
#if defined(__linux__)
  syscall(SYS_futex, &phase->done, FUTEX_WAKE_PRIVATE, INT32_MAX, 0, 0, 0);
#endif
}

void ember_phase_wait(ember_phase *phase, uint32_t count, uint32_t spins) {
  for (uint32_t i = 0; i < spins; i++) {
    if (__atomic_load_n(&phase->done, __ATOMIC_ACQUIRE) == count) return;
    pause_briefly();
  }
  __atomic_fetch_add(&phase->sleepers, 1, __ATOMIC_SEQ_CST);
  for (;;) {
    uint32_t seen = __atomic_load_n(&phase->done, __ATOMIC_SEQ_CST);
    if (seen == count) break;
    sleep_until_changed(&phase->done, seen);
  }
  __atomic_fetch_sub(&phase->sleepers, 1, __ATOMIC_RELAXED);
}

void ember_phase_reset(ember_phase *phases, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    __atomic_store_n(&phases[i].next, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&phases[i].done, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&phases[i].sleepers, 0, __ATOMIC_RELAXED);
  }
}

// Bits of a gate's state: 0 to 14 count the workers inside, 15 to 29 the seats left.
#define INSIDE UINT32_C(0x7fff)
#define SEAT (UINT32_C(1) << 15)
#define SEATS (INSIDE * SEAT)
#define CLOSER_SLEEPS (UINT32_C(1) << 30)
#define OPEN (UINT32_C(1) << 31)

void ember_gate_open(ember_gate *gate, uint32_t seats) {
  __atomic_store_n(&gate->state, OPEN | seats * SEAT, __ATOMIC_RELEASE);
}

int32_t ember_gate_enter(ember_gate *gate) {
  uint32_t state = __atomic_load_n(&gate->state, __ATOMIC_RELAXED);
  // A step may end and another begin between load and exchange: then the exchange enters that one,
  // and acquires what its opening released.
  do {
    if (!(state & OPEN) || !(state & SEATS)) return 0;
  } while (!__atomic_compare_exchange_n(
      &gate->state, &state, state - SEAT + 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
  return 1;
}

void ember_gate_leave(ember_gate *gate) {
  uint32_t before = __atomic_fetch_sub(&gate->state, 1, __ATOMIC_RELEASE);
  if ((before & INSIDE) != 1 || !(before & CLOSER_SLEEPS)) return;
#if defined(__linux__)
  syscall(SYS_futex, &gate->state, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
#endif
}

void ember_gate_close(ember_gate *gate, uint32_t spins) {
  uint32_t state = __atomic_and_fetch(&gate->state, INSIDE, __ATOMIC_ACQUIRE);
  for (uint32_t i = 0; state != 0 && i < spins; i++) {
    pause_briefly();
    state = __atomic_load_n(&gate->state, __ATOMIC_ACQUIRE);
  }
  if (state == 0) return;
  // The last to leave sees the bit, or has left already and we see that.
  state = __atomic_or_fetch(&gate->state, CLOSER_SLEEPS, __ATOMIC_ACQUIRE);
  while ((state & INSIDE) != 0) {
    sleep_until_changed(&gate->state, state);
    state = __atomic_load_n(&gate->state, __ATOMIC_ACQUIRE);
  }
  __atomic_store_n(&gate->state, 0, __ATOMIC_RELAXED);
}
