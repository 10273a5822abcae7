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
