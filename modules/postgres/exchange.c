/* One statement on the wire; see exchange.h. Rows arrive one by one (libpq's single-row mode) and are kept in
 * a compact form up to a limit; they become Lua tables once the statement has ended. A cancelled task, or a
 * result over its limit, asks the server to stop; the exchange ends only when the server has said its last
 * word and the request to stop is over, so that neither can hit the next statement. */
#include "postgres/exchange.h"

#include "base/error.h"
#include "base/scrub.h"
#include "base/secret.h"
#include "postgres/connection.h"
#include "postgres/error.h"
#include "postgres/value.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXCHANGE_TYPE "hostler.postgres.exchange"
#define SECONDS_TO_CANCEL 10

typedef struct {
    wait wait;
    pg_connection *connection;
    pg_rows rows;
    size_t most_rows, most_bytes;
    PGresult *last;    /* how the last part that succeeded ended; describes the columns */
    PGresult *failure; /* the first error */
    bool answered;     /* the server has said its last word */
    bool stopping;     /* asked to stop: rows are thrown away */
    bool too_large;
} exchange;

static exchange *current(pg_connection *c) {
    return (exchange *)c->operation;
}

static void end(exchange *x) {
    pg_connection *c = x->connection;
    pg_stop_timer(c);
    postgres_dial_unwatch(&c->poll);
    c->operation = NULL;
    wait_done(&x->wait);
}

static void lose(exchange *x, const char *reason) {
    pg_lose(x->connection, reason);
    end(x);
}

/* The server ends a connection with an error (57P01 ...) and then closes it; that error is the reason. */
static void end_if_over(exchange *x) {
    pg_connection *c = x->connection;
    if (!x->answered)
        return;
    if (c->cancelling) {
        postgres_dial_unwatch(&c->poll); /* nothing more to read; on_cancel_sent comes back here */
        return;
    }
    if (PQstatus(c->link) == CONNECTION_BAD) {
        const char *said = x->failure ? PQresultErrorField(x->failure, PG_DIAG_MESSAGE_PRIMARY) : NULL;
        lose(x, said ? said : PQerrorMessage(c->link));
        return;
    }
    end(x);
}

/* ---- asking the server to stop ---- */

static void on_cancel_sent(void *data) {
    pg_connection *c = data;
    c->cancelling = NULL;
    if (c->operation)
        end_if_over(current(c));
}

static void on_still_running(uv_timer_t *timer) {
    lose(current(timer->data), "the server did not stop a statement when asked to");
}

static void stop(exchange *x) {
    if (x->stopping)
        return;
    x->stopping = true;
    pg_connection *c = x->connection;
    c->cancelling = pg_cancel_send(c->link, on_cancel_sent, c);
    pg_start_timer(c, SECONDS_TO_CANCEL, on_still_running); /* for a request that is not heard */
}

static void cancel_exchange(wait *w) {
    stop((exchange *)w);
}

/* ---- receiving ---- */

static void take_row(exchange *x, const PGresult *row) {
    if (x->stopping)
        return;
    bool kept = pg_rows_add(&x->rows, row);
    if (kept && x->rows.rows <= x->most_rows && x->rows.cost <= x->most_bytes)
        return;
    x->too_large = true;
    stop(x);
}

/* Takes one result; false when the connection cannot go on after it. */
static bool take(exchange *x, PGresult *result) {
    PGresult **place = NULL;
    switch (PQresultStatus(result)) {
    case PGRES_SINGLE_TUPLE:
        take_row(x, result);
        break;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        PQclear(result);
        return false;
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
        PQclear(x->last);
        place = &x->last;
        break;
    default:
        place = x->failure ? NULL : &x->failure;
    }
    if (place)
        *place = result;
    else
        PQclear(result);
    return true;
}

static void forget_notifications(PGconn *link) {
    for (PGnotify *n; (n = PQnotifies(link));)
        PQfreemem(n);
}

static void receive(exchange *x) {
    PGconn *link = x->connection->link;
    while (!x->answered && !PQisBusy(link)) {
        PGresult *result = PQgetResult(link);
        if (!result) {
            x->answered = true;
        } else if (!take(x, result)) {
            lose(x, "COPY to or from the client is not supported here");
            return;
        }
    }
    forget_notifications(link);
    end_if_over(x);
}

static void on_socket_ready(uv_poll_t *poll, int status, int events);

/* What did not fit into the socket yet is sent when it is writable; answers are read meanwhile, or both sides
 * would wait for each other. */
static bool watch(exchange *x) {
    pg_connection *c = x->connection;
    int unsent = PQflush(c->link);
    int problem = postgres_dial_watch(
        &c->poll, c->link, unsent == 1 ? UV_READABLE | UV_WRITABLE : UV_READABLE, on_socket_ready, c);
    if (problem)
        lose(x, uv_strerror(problem));
    return !problem;
}

static void on_socket_ready(uv_poll_t *poll, int status, int events) {
    (void)status, (void)events; /* an error on the socket is told by PQconsumeInput, in better words */
    exchange *x = current(poll->data);
    /* After a failure libpq still hands out what came before it, above all the server's last words. */
    if (PQconsumeInput(x->connection->link) == 1 && !watch(x))
        return;
    receive(x);
}

/* ---- in the task ---- */

static int raise_too_large(lua_State *L, const exchange *x) {
    bool stopped = x->failure != NULL;
    error_push(L, "pg.limit",
               "the result is larger than the limit of %zu rows and %zu bytes; the statement was %s",
               x->most_rows, x->most_bytes, stopped ? "stopped" : "carried out nevertheless");
    error_set(L, "hint", "select less, or raise it: db:limit{ rows =, bytes = }:query(...)");
    error_set_boolean(L, "unclear", !stopped);
    return lua_error(L);
}

/* The statement, unless it must not be shown. */
static const char *shown_sql(lua_State *L) {
    lua_getfenv(L, 1);
    lua_rawgeti(L, -1, 2);
    return secret_is(L, -1) ? NULL : lua_tostring(L, -1);
}

static void raise_failures(lua_State *L, const exchange *x) {
    if (!x->connection->link)
        pg_raise_lost(L, x->connection->name, x->connection->lost, true);
    if (x->too_large)
        raise_too_large(L, x);
    if (x->failure)
        pg_raise_refused(L, x->failure, shown_sql(L));
}

/* "INSERT 0 3" -> "INSERT" */
static void push_command(lua_State *L, PGresult *result) {
    const char *status = result ? PQcmdStatus(result) : "";
    size_t length = strcspn(status, "0123456789");
    while (length > 0 && status[length - 1] == ' ')
        length--;
    lua_pushlstring(L, status, length);
}

static int finish_query(lua_State *L, wait *w) {
    exchange *x = (exchange *)w;
    raise_failures(L, x);
    pg_rows_push(L, &x->rows, x->last);
    push_command(L, x->last);
    lua_setfield(L, -2, "command");
    const char *affected = x->last ? PQcmdTuples(x->last) : "";
    lua_pushnumber(L, affected[0] ? strtod(affected, NULL) : 0);
    lua_setfield(L, -2, "affected");
    return 1;
}

static int finish_control(lua_State *L, wait *w) {
    exchange *x = (exchange *)w;
    raise_failures(L, x);
    push_command(L, x->last);
    return 1;
}

static int exchange_gc(lua_State *L) {
    exchange *x = lua_touserdata(L, 1);
    free(x->rows.bytes);
    PQclear(x->last);
    PQclear(x->failure);
    return 0;
}

/* Pushes the wait of an exchange; its environment keeps the handle and the statement. */
static exchange *begin(lua_State *L, int (*finish)(lua_State *, wait *), int handle, int sql) {
    if (!task_in_effect())
        error_raise(L, "internal", "postgres: a statement outside an effect");
    pg_connection *c = pg_check_idle(L, handle);
    exchange *x = wait_new(L, sizeof *x, cancel_exchange, finish);
    luaL_getmetatable(L, EXCHANGE_TYPE);
    lua_setmetatable(L, -2);
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, handle);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, sql);
    lua_rawseti(L, -2, 2);
    lua_setfenv(L, -2);
    x->wait.what = "PostgreSQL";
    x->connection = c;
    return x;
}

/* The statement is on its way, or could not even begin to be. Expects the wait on top of the stack. */
static int park(lua_State *L, exchange *x, int sent) {
    pg_connection *c = x->connection;
    if (!sent && PQstatus(c->link) == CONNECTION_OK)
        return error_raise(L, "usage", "the statement cannot be sent: %s", PQerrorMessage(c->link));
    c->operation = &x->wait;
    if (sent)
        watch(x);
    else
        lose(x, PQerrorMessage(c->link));
    return wait_park(L, &x->wait);
}

static const char *check_text(lua_State *L, int index) {
    size_t length;
    const char *text = secret_tolstring(L, index, &length);
    if (strlen(text) != length)
        error_raise(L, "usage", "the statement contains a NUL byte");
    return text;
}

int pg_query_lua(lua_State *L) {
    enum { HANDLE = 1, SUMMARY, MOST_ROWS, MOST_BYTES, SQL, COUNT, FIRST };
    int count = (int)luaL_checkinteger(L, COUNT);
    lua_settop(L, FIRST - 1 + count);
    exchange *x = begin(L, finish_query, HANDLE, SQL);
    int wait_index = lua_gettop(L);
    x->most_rows = (size_t)luaL_checknumber(L, MOST_ROWS);
    x->most_bytes = (size_t)luaL_checknumber(L, MOST_BYTES);
    const char *sql = check_text(L, SQL);
    pg_parameters p = pg_parameters_take(L, FIRST, count);
    pg_connection *c = x->connection;
    scrub_format(c->doing, sizeof c->doing, "%s", luaL_checkstring(L, SUMMARY));
    int sent = PQsendQueryParams(c->link, sql, count, p.types, p.values, p.lengths, p.formats, 0);
    if (sent)
        PQsetSingleRowMode(c->link);
    lua_pushvalue(L, wait_index);
    return park(L, x, sent);
}

int pg_control_lua(lua_State *L) {
    lua_settop(L, 2);
    const char *sql = check_text(L, 2);
    exchange *x = begin(L, finish_control, 1, 2);
    scrub_format(x->connection->doing, sizeof x->connection->doing, "%s", sql);
    return park(L, x, PQsendQuery(x->connection->link, sql));
}

void pg_exchange_open(lua_State *L) {
    luaL_newmetatable(L, EXCHANGE_TYPE);
    lua_pushcfunction(L, exchange_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}
