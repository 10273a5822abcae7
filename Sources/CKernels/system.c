#define _GNU_SOURCE  // sched_getaffinity
#include "ember_system.h"

#if defined(__linux__)
#include <sched.h>

int32_t ember_may_run_on(int32_t processor) {
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return -1;
  return processor < CPU_SETSIZE && CPU_ISSET(processor, &mask);
}

#else

int32_t ember_may_run_on(int32_t processor) {
  (void)processor;
  return -1;
}

#endif
