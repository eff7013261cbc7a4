/* A statement as Lua gives it to both stores: { sql, ..., n = how many parameters }. */
#ifndef HOSTLER_JOURNAL_STATEMENT_H
#define HOSTLER_JOURNAL_STATEMENT_H

#include <lua.h>

/* Pushes the SQL text and the parameters of the statement at `index`. */
void unpack_statement(lua_State *L, int index);

#endif
