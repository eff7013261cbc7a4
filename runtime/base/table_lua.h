/* sort and concat of Lua's table library, done so that they can be stopped: they hear Ctrl-C and deadlines,
 * which the interpreter's own do not. Results and errors are the same, and so is the order of comparisons. */
#ifndef HOSTLER_BASE_TABLE_LUA_H
#define HOSTLER_BASE_TABLE_LUA_H

#include <lua.h>

/* Adds to the table on top of the stack: sort, and concat_with(concat, fn), which returns a
 * concat over the interpreter's own that calls fn(list, separator, first, last) where userdata is among the
 * values. */
void table_lua_add(lua_State *L);

#endif
