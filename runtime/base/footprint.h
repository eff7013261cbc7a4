/* What a process has of the system: to see what somebody left behind. */
#ifndef HOSTLER_BASE_FOOTPRINT_H
#define HOSTLER_BASE_FOOTPRINT_H

#include <stddef.h>

typedef struct {
    int descriptors, threads, children;
    size_t resident; /* bytes of memory */
} footprint;

/* As proc(5) tells; what cannot be read is 0. */
footprint footprint_now(void);

#endif
