/* PostgreSQL for Lua: the table of functions, and those that do not wait.
 *
 * Each file knows those above it in this list, and none below:
 *
 *   error.c       what the server said, as an error
 *   notices.c     what it remarks
 *   cancel.c      asking it to stop
 *   value.c       Lua values to parameters, rows to Lua values, quoting
 *   connection.c  the handle and its life on the loop
 *   connect.c     connection strings, connecting
 *   exchange.c    one statement on the wire: send, receive, limit, cancel */
#include "base/error.h"
#include "postgres/connect.h"
#include "postgres/connection.h"
#include "postgres/exchange.h"
#include "postgres/value.h"

#include <lauxlib.h>

/* ---- functions that do not wait ---- */

/* close(handle): ends the connection; closing again does nothing. */
static int close_lua(lua_State *L) {
    pg_lose(pg_check_not_busy(L, 1), "it was closed by close()");
    return 0;
}

/* notices(handle) -> what the server remarked since the last call: a list of { severity, sqlstate, message }
 */
static int notices_lua(lua_State *L) {
    pg_notices_push(L, &pg_check(L, 1)->notices);
    return 1;
}

/* state(handle) -> "idle", "active", "transaction", "failed" or "lost", as libpq sees the server's
 * transaction */
static int state_lua(lua_State *L) {
    static const char *const names[] = {
        [PQTRANS_IDLE] = "idle",      [PQTRANS_ACTIVE] = "active", [PQTRANS_INTRANS] = "transaction",
        [PQTRANS_INERROR] = "failed", [PQTRANS_UNKNOWN] = "lost",
    };
    pg_connection *c = pg_check(L, 1);
    lua_pushstring(L, c->link ? names[PQtransactionStatus(c->link)] : "lost");
    return 1;
}

/* complete(error) -> the error with its place and traceback: a handler for xpcall. */
static int complete_lua(lua_State *L) {
    lua_settop(L, 1);
    error_complete(L);
    return 1;
}

int postgres_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"parse", pg_parse_lua},
        {"parse_shown", pg_parse_shown_lua},
        {"bytes", pg_bytes_lua},
        {"quote_ident", pg_quote_ident_lua},
        {"quote_literal", pg_quote_literal_lua},
        {"close", close_lua},
        {"notices", notices_lua},
        {"state", state_lua},
        {"complete", complete_lua},
        {NULL, NULL},
    };
    static const luaL_Reg waiting[] = {
        {"connect", pg_connect_lua}, {"query", pg_query_lua}, {"control", pg_control_lua}, {NULL, NULL}};
    pg_connection_open(L);
    pg_exchange_open(L);
    pg_value_open(L);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    task_register(L, waiting);
    return 1;
}
