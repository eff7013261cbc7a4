/* The registration table of modules with a C half. */
#include "host.h"

#include <stddef.h>

int mail_open(lua_State *L);
int sh_open(lua_State *L);

const native_module native_modules[] = {
    {"mail", mail_open},
    {"sh", sh_open},
    {NULL, NULL},
};
