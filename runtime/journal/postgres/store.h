/* The store of runs in PostgreSQL, as functions for Lua. */
#ifndef HOSTLER_JOURNAL_POSTGRES_STORE_H
#define HOSTLER_JOURNAL_POSTGRES_STORE_H

#include <lua.h>
#include <stdbool.h>

/* Pushes a table: open connect write read later drain guard name close. What of the contract in
 * journal.h these are is for shared.lua. */
int journal_postgres_open(lua_State *L);

/* The parts of journal_keep_connection and journal_kept_descriptors that concern it. */
void journal_postgres_keep(bool on);
int journal_postgres_kept_descriptors(void);

#endif
