/* The registration table of modules with a C half. */
#include "host.h"

#include <stddef.h>

int dns_open(lua_State *L);
int postgres_open(lua_State *L);
int sh_open(lua_State *L);

const native_module native_modules[] = {
    {"dns", dns_open},
    {"postgres", postgres_open},
    {"sh", sh_open},
    {NULL, NULL},
};
