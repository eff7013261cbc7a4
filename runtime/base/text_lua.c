/* See text_lua.h. */
#include "base/text_lua.h"

#include "base/text.h"

#include <lauxlib.h>

/* visible(text) -> what may be shown of it on one line, and the columns that takes */
static int visible_lua(lua_State *L) {
    text_buffer shown = {0};
    size_t columns = text_visible(&shown, luaL_checkstring(L, 1));
    lua_pushlstring(L, shown.length ? shown.text : "", shown.length);
    lua_pushinteger(L, (lua_Integer)columns);
    text_free(&shown);
    return 2;
}

/* is_utf8(text) */
static int is_utf8_lua(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    lua_pushboolean(L, text_is_utf8(text, length));
    return 1;
}

/* duration(seconds) -> "3.2s", "1m 15s" */
static int duration_lua(lua_State *L) {
    text_buffer shown = {0};
    text_duration(&shown, luaL_checknumber(L, 1), false);
    lua_pushlstring(L, shown.text, shown.length);
    text_free(&shown);
    return 1;
}

void text_lua_add(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"visible", visible_lua}, {"is_utf8", is_utf8_lua}, {"duration", duration_lua}, {NULL, NULL}};
    luaL_register(L, NULL, functions);
}
