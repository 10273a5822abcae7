// The memory of a case. Where no address checker watches malloc, each room ends at a page that may
// not be touched, so that a step beyond it is seen on a processor that has no checker.
#define _DEFAULT_SOURCE  // MAP_ANONYMOUS

#include <stdlib.h>

#include "compare.h"

enum { ROOMS = 64 };
static size_t held_count = 0;

#if __has_feature(address_sanitizer)

static void *held[ROOMS];

void give_back_rooms(void) {
  while (held_count > 0) free(held[--held_count]);
}

static uint8_t *new_room(size_t bytes, size_t misalignment) {
  uint8_t *memory = held_count < ROOMS ? malloc(bytes + misalignment) : NULL;
  if (!memory) return NULL;
  held[held_count++] = memory;
  return memory + misalignment;
}

#else

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

void give_back_rooms(void) { held_count = 0; }

static void touched(int number) {
  (void)number;
  const char *parts[] = {"memory that is not its own: ", case_description(), "\n"};
  for (size_t i = 0; i < LENGTH(parts); i++)
    if (write(STDERR_FILENO, parts[i], strlen(parts[i])) < 0) break;
  _exit(1);
}

// Room after room, each with a page that may not be touched behind it.
enum { ROOM_BYTES = 1 << 20 };

static uint8_t *new_rooms(size_t page) {
  size_t all = ROOMS * (ROOM_BYTES + page);
  uint8_t *memory = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  for (size_t i = 0; i < ROOMS; i++)
    if (mprotect(memory + i * (ROOM_BYTES + page) + ROOM_BYTES, page, PROT_NONE) != 0) return NULL;
  signal(SIGSEGV, touched);
  signal(SIGBUS, touched);
  return memory;
}

static uint8_t *new_room(size_t bytes, size_t misalignment) {
  static uint8_t *rooms = NULL;
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  if (!rooms) rooms = new_rooms(page);
  misalignment %= 16;
  if (!rooms || held_count == ROOMS || bytes > ROOM_BYTES - 16) return NULL;
  // As far up as the misalignment allows.
  size_t start = (ROOM_BYTES - misalignment - bytes) / 16 * 16 + misalignment;
  return rooms + held_count++ * (ROOM_BYTES + page) + start;
}

#endif

void *room(size_t bytes, size_t misalignment) {
  uint8_t *memory = new_room(bytes, misalignment);
  if (!memory) {
    fprintf(stderr, "no memory for a case: %s\n", case_description());
    exit(2);
  }
  memset(memory, 0xA5, bytes);
  return memory;
}

void *copy_of(const void *source, size_t bytes, size_t misalignment) {
  void *copy = room(bytes, misalignment);
  memcpy(copy, source, bytes);
  return copy;
}

__attribute__((noinline)) void forget_stack(void) {
  uint8_t stack[16384];
  memset(stack, 0xA5, sizeof stack);
  // Without a reader, the compiler would leave the write out.
  __asm__ volatile("" : : "r"(stack) : "memory");
}
