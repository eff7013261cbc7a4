/* See environment.h. */
#include "base/environment.h"

#include "base/files_lua.h"
#include "base/version.h"

#include <lauxlib.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int env_lua(lua_State *L) {
    lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
    return 1;
}

/* credential(name) -> the text of $CREDENTIALS_DIRECTORY/name without its last newline, or nil.
 * systemd.exec(5). */
static int credential_lua(lua_State *L) {
    const char *name = luaL_checkstring(L, 1), *directory = getenv("CREDENTIALS_DIRECTORY");
    if (!directory || strchr(name, '/'))
        return 0;
    lua_pushfstring(L, "%s/%s", directory, name);
    if (files_push_text(L, lua_tostring(L, -1), FILES_LARGEST))
        return 0;
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    if (length > 0 && text[length - 1] == '\n')
        lua_pushlstring(L, text, length - 1);
    return 1;
}

/* user() -> the number and the name of the user this process runs as */
static int user_lua(lua_State *L) {
    const struct passwd *entry = getpwuid(geteuid());
    lua_pushinteger(L, (lua_Integer)geteuid());
    if (entry)
        lua_pushstring(L, entry->pw_name);
    else
        lua_pushfstring(L, "%d", (int)geteuid());
    return 2;
}

static int version_lua(lua_State *L) {
    lua_pushstring(L, HOSTLER_VERSION);
    return 1;
}

void environment_add(lua_State *L) {
    static const luaL_Reg functions[] = {{"env", env_lua},
                                         {"credential", credential_lua},
                                         {"user", user_lua},
                                         {"version", version_lua},
                                         {NULL, NULL}};
    luaL_register(L, NULL, functions);
}
