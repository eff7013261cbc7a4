/* Lua values to parameters, rows to Lua values, quoting. Internal to the postgres module. */
#ifndef HOSTLER_POSTGRES_VALUE_H
#define HOSTLER_POSTGRES_VALUE_H

#include <libpq-fe.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* Fields in the order they came, each a length (or -1 for NULL) and its bytes: a small part of what libpq's
 * results of one row each would take. */
typedef struct {
    char *bytes;
    size_t used, room;
    size_t rows;
    size_t cost; /* about what the rows will take as Lua tables, in bytes */
} pg_rows;

/* Adds the only row of this result. False when memory is short. */
bool pg_rows_add(pg_rows *rows, const PGresult *row);
/* Pushes the list of rows; `shape` describes the columns. */
void pg_rows_push(lua_State *L, const pg_rows *rows, const PGresult *shape);

typedef struct {
    const char **values;
    int *lengths, *formats;
    Oid *types;
} pg_parameters;

/* Converts `count` values from `first` on. The arrays and texts are left on the stack, which keeps them
 * alive. */
pg_parameters pg_parameters_take(lua_State *L, int first, int count);

/* bytes(text): a parameter that is sent as it is. quote_ident(text), quote_literal(text). */
int pg_bytes_lua(lua_State *L);
int pg_quote_ident_lua(lua_State *L);
int pg_quote_literal_lua(lua_State *L);

/* Makes the type of bytes. */
void pg_value_open(lua_State *L);

#endif
