/* Code in Lua, and where it stands. */
#ifndef HOSTLER_BASE_CODE_H
#define HOSTLER_BASE_CODE_H

#include <lua.h>

/* Adds to the table on top of the stack: load_text(source, name) place_of(fn) caller(level). */
void code_add(lua_State *L);

#endif
