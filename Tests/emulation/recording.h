// What one table computed, in a file: so that another processor's kernels can be compared with it.
#ifndef EMBER_EMULATION_RECORDING_H
#define EMBER_EMULATION_RECORDING_H

#include "ckernels.h"

// From here on, every comparison also writes what it expects to a file.
void start_recording(const char *path);
// From here on, every comparison expects what the file holds instead of what it is given.
void start_replaying(const char *path);
// Ends either; a replay that has not reached the file's end is an error.
void end_recording(void);

// Writes what is expected, or fills it from the file, or does neither.
void record_or_replay(void *expected, size_t bytes);

// A table that does nothing, for the place of the one that was recorded.
extern const ember_kernels recorded_kernels;

#endif
