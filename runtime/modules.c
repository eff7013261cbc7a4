/* The registration table of modules with a C half. */
#include "host.h"

#include <stddef.h>

int http_open(lua_State *L);
int http_server_open(lua_State *L);

const native_module native_modules[] = {
    {"http", http_open},
    {"http_server", http_server_open},
    {NULL, NULL},
};
