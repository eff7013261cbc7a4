/* Connection strings, and connecting, as Lua sees it. Internal to the postgres module. */
#ifndef HOSTLER_POSTGRES_CONNECT_H
#define HOSTLER_POSTGRES_CONNECT_H

#include <lua.h>

/* parse(uri) -> a table of libpq's keywords; parse_shown(uri): of what may be shown of a secret URI, or nil.
 */
int pg_parse_lua(lua_State *L);
int pg_parse_shown_lua(lua_State *L);

/* connect(name, keywords, seconds, ca or nil) -> handle. Waits. */
int pg_connect_lua(lua_State *L);

#endif
