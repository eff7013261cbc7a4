/* The registration table of modules with a C half. */
#include "host.h"

#include <stddef.h>

const native_module native_modules[] = {
    {NULL, NULL},
};
