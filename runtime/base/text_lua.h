/* Text for people, for the prelude. */
#ifndef HOSTLER_BASE_TEXT_LUA_H
#define HOSTLER_BASE_TEXT_LUA_H

#include <lua.h>

/* Adds to the table on top of the stack: visible(text) is_utf8(text). */
void text_lua_add(lua_State *L);

#endif
