// System calls that Swift cannot see.
#ifndef EMBER_SYSTEM_H
#define EMBER_SYSTEM_H

#include <stdint.h>

// Whether this process may run on a processor; −1 where the system does not say.
int32_t ember_may_run_on(int32_t processor);

#endif
