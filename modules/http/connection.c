/* How a transfer is to connect; see connection.h. */
#include "http/connection.h"

#include "base/error.h"
#include "base/files_lua.h"
#include "base/version.h"

#include <lauxlib.h>
#include <stdbool.h>

#define LONGEST_CONNECT 10000 /* milliseconds */
#define LONGEST_TIMEOUT 86400 /* seconds */

/* Of the number of seconds in field `name` of the options; raises for what is no duration. */
static long milliseconds(lua_State *L, int index, const char *name) {
    lua_getfield(L, index, name);
    lua_Number seconds = luaL_checknumber(L, -1);
    lua_pop(L, 1);
    if (!(seconds > 0 && seconds <= LONGEST_TIMEOUT))
        error_raise(L, "usage", "%s must be a number of seconds, more than 0 and up to a day", name);
    return seconds < 0.001 ? 1 : (long)(seconds * 1000);
}

void http_connection_set(lua_State *L, int index, curl_pool_transfer *t) {
    CURL *easy = t->easy;
    curl_pool_set_time(t, LONGEST_CONNECT, milliseconds(L, index, "timeout"));
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "hostler/" HOSTLER_VERSION);
    lua_getfield(L, index, "ca_file");
    if (!lua_isnil(L, -1)) {
        /* Without this the system's directory of roots would still be asked. */
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
        files_check_given(L, "ca_file", luaL_checkstring(L, -1));
        curl_easy_setopt(easy, CURLOPT_CAINFO, lua_tostring(L, -1));
    }
    lua_getfield(L, index, "insecure");
    if (lua_toboolean(L, -1)) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    lua_pop(L, 1);
    lua_getfield(L, index, "connect_to");
    struct curl_slist *detours = NULL;
    for (int i = 1, count = lua_istable(L, -1) ? (int)lua_objlen(L, -1) : 0; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        struct curl_slist *longer =
            curl_slist_append(detours, lua_tostring(L, -1) ? lua_tostring(L, -1) : "");
        if (longer)
            detours = longer;
        lua_pop(L, 1);
    }
    curl_pool_set_detours(t, detours);
    lua_pop(L, 2);
}
