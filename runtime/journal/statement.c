/* See statement.h. */
#include "journal/statement.h"

#include <lauxlib.h>

void unpack_statement(lua_State *L, int index) {
    luaL_argcheck(L, lua_istable(L, index), index, "a list of statements");
    lua_getfield(L, index, "n");
    int count = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    luaL_checkstack(L, count + 1, "too many parameters");
    for (int i = 1; i <= count + 1; i++)
        lua_rawgeti(L, index, i);
}
