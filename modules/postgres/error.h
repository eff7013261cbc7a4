/* What the server said, as errors. Internal to the postgres module. */
#ifndef HOSTLER_POSTGRES_ERROR_H
#define HOSTLER_POSTGRES_ERROR_H

#include <libpq-fe.h>
#include <lua.h>
#include <stdbool.h>

/* Raises pg.query for a statement the server refused. `sql` is NULL when it must not be shown. */
int pg_raise_refused(lua_State *L, const PGresult *failure, const char *sql);

/* Raises postgres.connect; `name` is the connection's, `said` libpq's or the resolver's text. */
int pg_raise_unconnected(lua_State *L, const char *name, const char *said);

/* Raises pg.closed for a connection that ended, during a statement or before it. `reason` may be NULL when
 * memory was short. */
int pg_raise_lost(lua_State *L, const char *name, const char *reason, bool during);

#endif
