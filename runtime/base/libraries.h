/* The libraries that hostler runs on, and their versions as loaded now. */
#ifndef HOSTLER_BASE_LIBRARIES_H
#define HOSTLER_BASE_LIBRARIES_H

#include <stddef.h>

typedef struct {
    const char *name;
    const char *version; /* lives to the end of the process */
} library_version;

/* The list, in the order of the README. */
const library_version *library_versions(size_t *count);

#endif
