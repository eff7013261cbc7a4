/* See code.h. */
#include "base/code.h"

#include <lauxlib.h>

/* load_text(source, chunk_name) -> function, or nil, message. Bytecode is refused: it can crash the
 * interpreter. */
static int load_text_lua(lua_State *L) {
    size_t length;
    const char *source = luaL_checklstring(L, 1, &length);
    if (luaL_loadbufferx(L, source, length, luaL_checkstring(L, 2), "t") == 0)
        return 1;
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* place_of(fn) -> its source name, its first and its last line */
static int place_of_lua(lua_State *L) {
    lua_Debug place;
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_getinfo(L, ">S", &place);
    lua_pushstring(L, place.source);
    lua_pushinteger(L, place.linedefined);
    lua_pushinteger(L, place.lastlinedefined);
    return 3;
}

/* caller(level) -> source name, line of the function at that level above the caller */
static int caller_lua(lua_State *L) {
    lua_Debug frame;
    if (!lua_getstack(L, (int)luaL_checkinteger(L, 1), &frame))
        return 0;
    lua_getinfo(L, "Sl", &frame);
    lua_pushstring(L, frame.source);
    lua_pushinteger(L, frame.currentline);
    return 2;
}

void code_add(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"load_text", load_text_lua}, {"place_of", place_of_lua}, {"caller", caller_lua}, {NULL, NULL}};
    luaL_register(L, NULL, functions);
}
