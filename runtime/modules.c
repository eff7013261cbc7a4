/* The registration table of modules with a C half. */
#include "host.h"

#include <stddef.h>

int sh_open(lua_State *L);

const native_module native_modules[] = {
    {"sh", sh_open},
    {NULL, NULL},
};
