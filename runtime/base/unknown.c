/* What an unknown can do, and what it refuses; see unknown.h. */
#include "base/unknown.h"

#include "base/error.h"
#include "base/hidden.h"

#include <string.h>

static void push_unknown(lua_State *L, const char *shown, size_t length) {
    hidden_push(L, HIDDEN_UNKNOWN, "", 0, shown, length);
}

/* <create droplet> indexed by "id" is <create droplet.id>; a text with an unknown in it is put in brackets
 * first. */
static int unknown_index(lua_State *L) {
    size_t length;
    const char *shown = hidden_shown(L, 1, &length);
    bool whole = length > 2 && shown[0] == '<' && memchr(shown, '>', length) == shown + length - 1;
    const char *key = lua_isstring(L, 2) ? lua_tostring(L, 2) : "?";
    if (whole)
        lua_pushlstring(L, shown + 1, length - 2);
    else
        lua_pushlstring(L, shown, length);
    lua_pushfstring(L, lua_isnumber(L, 2) ? "<%s[%s]>" : "<%s.%s>", lua_tostring(L, -1), key);
    shown = lua_tolstring(L, -1, &length);
    push_unknown(L, shown, length);
    return 1;
}

static int unknown_call(lua_State *L) {
    lua_pushvalue(L, 1);
    return 1;
}

static int unknown_refuse(lua_State *L) {
    int index = hidden_is(L, 1, HIDDEN_UNKNOWN) ? 1 : 2;
    return error_raise(L, "unknown",
                       "%s is decided only when the step runs, so this dry run cannot compute with it",
                       hidden_shown(L, index, NULL));
}

/* unknown(shown) */
static int unknown_new(lua_State *L) {
    size_t length;
    const char *shown = luaL_checklstring(L, 1, &length);
    push_unknown(L, shown, length);
    return 1;
}

static int is_unknown_lua(lua_State *L) {
    lua_pushboolean(L, hidden_is(L, 1, HIDDEN_UNKNOWN));
    return 1;
}

void unknown_add(lua_State *L) {
    static const luaL_Reg metamethods[] = {{"__index", unknown_index}, {"__newindex", unknown_refuse},
                                           {"__call", unknown_call},   {"__add", unknown_refuse},
                                           {"__sub", unknown_refuse},  {"__mul", unknown_refuse},
                                           {"__div", unknown_refuse},  {"__mod", unknown_refuse},
                                           {"__pow", unknown_refuse},  {"__unm", unknown_refuse},
                                           {"__lt", unknown_refuse},   {"__le", unknown_refuse},
                                           {"__len", unknown_refuse},  {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"unknown", unknown_new}, {"is_unknown", is_unknown_lua}, {NULL, NULL}};
    hidden_make_type(L, HIDDEN_UNKNOWN, metamethods);
    luaL_register(L, NULL, functions);
}
