/* find, match, gmatch and gsub over pattern.h. */
#ifndef HOSTLER_BASE_PATTERN_LUA_H
#define HOSTLER_BASE_PATTERN_LUA_H

#include <lua.h>

/* Puts them in the place of Lua's own in the global table `string`. */
void pattern_lua_replace(lua_State *L);

#endif
