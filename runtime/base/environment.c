/* See environment.h. */
#include "base/environment.h"

#include "base/files_lua.h"
#include "base/version.h"

#include <lauxlib.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static struct {
    char **list;
    size_t count;
} secret_names;

static void forget_secret_names(void) {
    while (secret_names.count > 0)
        free(secret_names.list[--secret_names.count]);
    free(secret_names.list);
    secret_names.list = NULL;
}

static bool is_secret_name(const char *name, size_t length) {
    for (size_t i = 0; i < secret_names.count; i++)
        if (strlen(secret_names.list[i]) == length && memcmp(secret_names.list[i], name, length) == 0)
            return true;
    return false;
}

static bool add_secret_name(const char *name) {
    if (is_secret_name(name, strlen(name)))
        return true;
    char **list = realloc(secret_names.list, (secret_names.count + 1) * sizeof *list);
    if (!list)
        return false;
    secret_names.list = list;
    list[secret_names.count] = strdup(name);
    return list[secret_names.count] && ++secret_names.count;
}

/* user:password@ of a URI, or a password among its parameters. */
static bool has_password(const char *uri) {
    const char *user = strstr(uri, "://"), *at = user ? strchr(user + 3, '@') : NULL;
    return strstr(uri, "password=") || (at && memchr(user + 3, ':', (size_t)(at - user - 3)));
}

bool environment_is_private(const char *variable) {
    size_t length = strcspn(variable, "=");
    if (strncmp(variable, "PGPASSWORD=", length + 1) == 0)
        return true;
    if (strncmp(variable, "HOSTLER_STORE=", length + 1) == 0 && has_password(variable))
        return true;
    return is_secret_name(variable, length);
}

char **environment_for_programs(void) {
    size_t all = 0, count = 0;
    while (environ[all])
        all++;
    char **list = calloc(all + 1, sizeof *list);
    if (!list)
        abort(); /* no program is started with what it must not have */
    for (size_t i = 0; i < all; i++)
        if (!environment_is_private(environ[i]))
            list[count++] = environ[i];
    return list;
}

static int env_lua(lua_State *L) {
    lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
    return 1;
}

/* secret_env(name) -> the variable, which no program that is started from now on inherits. */
static int secret_env_lua(lua_State *L) {
    if (!add_secret_name(luaL_checkstring(L, 1)))
        return luaL_error(L, "not enough memory");
    return env_lua(L);
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
    static const luaL_Reg functions[] = {
        {"env", env_lua},   {"secret_env", secret_env_lua}, {"credential", credential_lua},
        {"user", user_lua}, {"version", version_lua},       {NULL, NULL}};
    forget_secret_names(); /* those of the world before */
    luaL_register(L, NULL, functions);
}
