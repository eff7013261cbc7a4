/* Inside the postgres module: one connection, and what its files offer each other.
 *
 *   postgres.c           the handle, its life on the loop, and the functions that Lua sees
 *   connect.c   connection strings, connecting, notices
 *   exchange.c  one statement on the wire: send, receive, limit, cancel
 *   value.c     Lua values to parameters, rows to Lua values, quoting
 *   error.c     what the server said, as an error */
#ifndef HOSTLER_POSTGRES_H
#define HOSTLER_POSTGRES_H

#include "net/postgres_dial.h"
#include "task/task.h"

#include <libpq-fe.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#define PG_NAME_SIZE 256
#define PG_DOING_SIZE 128

typedef struct pg_notices pg_notices;
typedef struct pg_cancel_request pg_cancel_request;

typedef struct {
    PGconn *link;                  /* NULL before connecting begins and after the connection ended */
    postgres_dial *attempt;        /* to connect; NULL before and after */
    uv_poll_t *poll;               /* watches link's socket; NULL while nobody waits for it */
    uv_timer_t *timer;             /* the limit of connecting or of cancelling; NULL while there is none */
    wait *operation;               /* who uses the connection now, or NULL */
    pg_cancel_request *cancelling; /* under way in a thread, or NULL */
    pg_notices *notices;
    char *lost;                /* why it ended, in the server's or the system's words; NULL while it lives */
    char name[PG_NAME_SIZE];   /* "db.example.com:5432/app", for messages */
    char doing[PG_DOING_SIZE]; /* the statement under way, shortened */
} pg_connection;

/* ---- postgres.c ---- */

void pg_start_timer(pg_connection *c, double seconds, uv_timer_cb over);
void pg_stop_timer(pg_connection *c);

/* Ends the connection for good; only the first reason is kept. */
void pg_lose(pg_connection *c, const char *reason);

/* Pushes a new handle, and returns its connection, which the handle owns. */
pg_connection *pg_push_handle(lua_State *L, const char *name);
/* The idle, living connection of the handle at this index; raises pg.closed or pg.busy. */
pg_connection *pg_check_idle(lua_State *L, int index);

/* ---- connect.c ---- */

/* parse(uri) -> a table of libpq's keywords; parse_shown(uri): of what may be shown of a secret URI, or nil.
 */
int pg_parse_lua(lua_State *L);
int pg_parse_shown_lua(lua_State *L);
/* connect(name, keywords, seconds, ca or nil) -> handle. Waits. */
int pg_connect_lua(lua_State *L);

/* Pushes the notices that came since the last call. */
void pg_notices_push(lua_State *L, pg_connection *c);
void pg_notices_free(pg_notices *notices);

/* ---- exchange.c ---- */

/* query(handle, summary, row limit, byte limit, sql, count, parameters ...) -> rows. Waits. */
int pg_query_lua(lua_State *L);
/* control(handle, statements) -> what the last one did, "COMMIT". Waits. For texts of the module's own. */
int pg_control_lua(lua_State *L);
void pg_exchange_open(lua_State *L);
/* The connection goes away: a cancel request that is still under way must not touch it again. */
void pg_forget_cancel(pg_connection *c);

/* ---- value.c ---- */

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
void pg_value_open(lua_State *L);

/* ---- error.c ---- */

/* Raises pg.query for a statement the server refused. `sql` is NULL when it must not be shown. */
int pg_raise_refused(lua_State *L, const PGresult *failure, const char *sql);
/* Raises postgres.connect; `said` is libpq's or the resolver's text. */
int pg_raise_unconnected(lua_State *L, const pg_connection *c, const char *said);
/* Raises pg.closed for a connection that ended, during a statement or before it. */
int pg_raise_lost(lua_State *L, const pg_connection *c, bool during);

#endif
