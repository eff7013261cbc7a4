/* What tells things apart: random numbers and names, and hashes of texts. */
#ifndef HOSTLER_BASE_UNIQUE_H
#define HOSTLER_BASE_UNIQUE_H

#include <lua.h>

/* Adds to the table on top of the stack: uuid() random(limit) hash(text). */
void unique_add(lua_State *L);

#endif
