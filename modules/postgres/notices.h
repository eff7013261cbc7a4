/* What a server remarks on a connection, kept until somebody asks. Internal to the postgres module. */
#ifndef HOSTLER_POSTGRES_NOTICES_H
#define HOSTLER_POSTGRES_NOTICES_H

#include <libpq-fe.h>
#include <lua.h>

/* The newest ones: the server may send any number of them. NULL while there are none. */
typedef struct pg_notices pg_notices;

/* Adds one. */
void pg_notices_take(pg_notices **notices, const PGresult *result);

/* Pushes a list of { severity, sqlstate, message }, and keeps none of them. */
void pg_notices_push(lua_State *L, pg_notices **notices);

void pg_notices_free(pg_notices *notices);

#endif
