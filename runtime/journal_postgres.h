/* The store of runs in PostgreSQL, as a function for Lua. */
#ifndef HOSTLER_JOURNAL_POSTGRES_H
#define HOSTLER_JOURNAL_POSTGRES_H

#include <lua.h>

/* postgres(uri, patience) -> store; no call takes longer than `patience` seconds. */
int journal_postgres_lua(lua_State *L);

#endif
