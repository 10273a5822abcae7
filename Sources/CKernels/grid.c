#include "ckernels.h"

const uint8_t ember_q4n_grid[16] = {EMBER_Q4N_GRID};
