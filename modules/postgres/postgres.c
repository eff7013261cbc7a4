/* PostgreSQL for Lua: the handle, its life on the loop, and the table of functions. See postgres.h for the
 * rest. */
#include "postgres/postgres.h"

#include "base/error.h"
#include "task/handle.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HANDLE_TYPE "hostler.postgres"

/* ---- the limit ---- */

void pg_start_timer(pg_connection *c, double seconds, uv_timer_cb over) {
    if (!c->timer) {
        c->timer = calloc(1, sizeof *c->timer);
        if (!c->timer)
            abort();
        uv_timer_init(task_loop(), c->timer);
        c->timer->data = c;
    }
    uv_update_time(task_loop());
    uv_timer_start(c->timer, over, (uint64_t)(seconds * 1000), 0);
}

void pg_stop_timer(pg_connection *c) {
    handle_discard(c->timer);
    c->timer = NULL;
}

/* ---- the handle ---- */

void pg_lose(pg_connection *c, const char *reason) {
    if (!c->lost) {
        c->lost = strdup(reason);
        size_t length = c->lost ? strlen(c->lost) : 0;
        while (length > 0 && c->lost[length - 1] == '\n')
            c->lost[--length] = '\0';
    }
    pq_unwatch(&c->poll);
    pg_stop_timer(c);
    pg_forget_cancel(c);
    if (c->attempt)
        pq_give_up(c->attempt);
    c->attempt = NULL;
    PQfinish(c->link);
    c->link = NULL;
}

static void free_connection(pg_connection *c) {
    pg_lose(c, "closed");
    pg_notices_free(c->notices);
    free(c->lost);
    free(c);
}

pg_connection *pg_push_handle(lua_State *L, const char *name) {
    pg_connection **handle = lua_newuserdata(L, sizeof *handle);
    *handle = NULL;
    luaL_getmetatable(L, HANDLE_TYPE);
    lua_setmetatable(L, -2);
    *handle = calloc(1, sizeof **handle);
    if (!*handle)
        luaL_error(L, "out of memory");
    snprintf((*handle)->name, sizeof(*handle)->name, "%s", name);
    return *handle;
}

static pg_connection *check(lua_State *L, int index) {
    pg_connection **handle = luaL_checkudata(L, index, HANDLE_TYPE);
    return *handle;
}

static pg_connection *check_not_busy(lua_State *L, int index) {
    pg_connection *c = check(L, index);
    if (!c->operation)
        return c;
    error_push(L, "pg.busy", "the connection to %s is busy with: %s", c->name, c->doing);
    error_set(L, "hint", "two tasks cannot use one connection at the same time: open one for each");
    lua_error(L);
    return NULL;
}

pg_connection *pg_check_idle(lua_State *L, int index) {
    pg_connection *c = check_not_busy(L, index);
    if (!c->link)
        pg_raise_lost(L, c, false);
    return c;
}

static int handle_gc(lua_State *L) {
    pg_connection **handle = lua_touserdata(L, 1);
    if (*handle)
        free_connection(*handle);
    *handle = NULL;
    return 0;
}

/* ---- functions that do not wait ---- */

/* close(handle): ends the connection; closing again does nothing. */
static int close_lua(lua_State *L) {
    pg_lose(check_not_busy(L, 1), "it was closed by close()");
    return 0;
}

/* notices(handle) -> what the server remarked since the last call: a list of { severity, sqlstate, message }
 */
static int notices_lua(lua_State *L) {
    pg_notices_push(L, check(L, 1));
    return 1;
}

/* state(handle) -> "idle", "active", "transaction", "failed" or "lost", as libpq sees the server's
 * transaction */
static int state_lua(lua_State *L) {
    static const char *const names[] = {
        [PQTRANS_IDLE] = "idle",      [PQTRANS_ACTIVE] = "active", [PQTRANS_INTRANS] = "transaction",
        [PQTRANS_INERROR] = "failed", [PQTRANS_UNKNOWN] = "lost",
    };
    pg_connection *c = check(L, 1);
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
    luaL_newmetatable(L, HANDLE_TYPE);
    lua_pushcfunction(L, handle_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    pg_exchange_open(L);
    pg_value_open(L);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    task_register(L, waiting);
    return 1;
}
