/* The C half of the module `doctor`: what hostler knows of itself. */
#include "error.h"
#include "libraries.h"
#include "task.h"

#include <lauxlib.h>
#include <unistd.h>

int doctor_open(lua_State *L);

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

/* is_root() */
static int is_root_lua(lua_State *L) {
    lua_pushboolean(L, geteuid() == 0);
    return 1;
}

/* writable(path) -> whether this user may write there. Reaches the outside: only inside an effect. */
static int writable_lua(lua_State *L) {
    if (!task_in_effect())
        return error_raise(L, "internal", "the doctor module was reached past the gate");
    lua_pushboolean(L, access(luaL_checkstring(L, 1), W_OK) == 0);
    return 1;
}

int doctor_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"libraries", libraries_lua}, {"is_root", is_root_lua}, {"writable", writable_lua}, {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
