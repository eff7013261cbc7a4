/* The C half of the module `checkup`: what hostler knows of itself. */
#include "base/libraries.h"

#include <lauxlib.h>

int checkup_open(lua_State *L);

/* libraries() -> { { name, version }, ... } */
static int libraries_lua(lua_State *L) {
    size_t count;
    const library_version *libraries = library_versions(&count);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_createtable(L, 0, 2);
        lua_pushstring(L, libraries[i].name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, libraries[i].version);
        lua_setfield(L, -2, "version");
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

int checkup_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"libraries", libraries_lua}, {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
