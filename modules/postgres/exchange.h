/* One statement on the wire, as Lua sees it: send, receive, limit, cancel. Internal to the postgres module.
 */
#ifndef HOSTLER_POSTGRES_EXCHANGE_H
#define HOSTLER_POSTGRES_EXCHANGE_H

#include <lua.h>

/* query(handle, summary, row limit, byte limit, sql, count, parameters ...) -> rows. Waits. */
int pg_query_lua(lua_State *L);

/* control(handle, statements) -> what the last one did, "COMMIT". Waits. For texts of the module's own. */
int pg_control_lua(lua_State *L);

/* Makes the type that these need. */
void pg_exchange_open(lua_State *L);

#endif
