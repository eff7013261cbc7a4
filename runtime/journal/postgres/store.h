/* The store of runs in PostgreSQL, as functions for Lua. */
#ifndef HOSTLER_JOURNAL_POSTGRES_STORE_H
#define HOSTLER_JOURNAL_POSTGRES_STORE_H

#include <lua.h>

/* Pushes a table: open connect write read later drain guard name close. What of the contract in
 * journal.h these are is for shared.lua. */
int journal_postgres_open(lua_State *L);

#endif
