/* See link.h. A transaction is one pipeline: its statements and the Sync that commits them are sent
 * at once, and answered at once. */
#include "journal/postgres/link.h"

#include "base/clock.h"
#include "base/scrub.h"
#include "base/text.h"
#include "task/handle.h"
#include "task/task.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIVISION_BY_ZERO "22012"

void *link_must(void *memory) {
    if (!memory)
        abort();
    return memory;
}

/* ---- statements ---- */

static char *number_text(double number) {
    char text[40];
    bool whole = number == (double)(int64_t)number;
    snprintf(text, sizeof text, whole ? "%.0f" : "%.17g", number);
    return link_must(strdup(text));
}

/* PostgreSQL's texts are UTF-8 without NUL. */
static char *clean_text(const char *text, size_t length) {
    if (!memchr(text, '\0', length) && text_is_utf8(text, length))
        return link_must(strndup(text, length));
    text_buffer clean = {0};
    for (const char *part = text;; part += strlen(part) + 1) { /* a Lua string ends in a NUL of its own */
        text_utf8(&clean, part);
        if (part + strlen(part) >= text + length)
            break;
        text_utf8(&clean, "\xff");
    }
    return clean.text ? clean.text : link_must(strdup(""));
}

static char *value_text(lua_State *L, int index) {
    size_t length;
    switch (lua_type(L, index)) {
    case LUA_TNIL:
        return NULL;
    case LUA_TBOOLEAN:
        return number_text(lua_toboolean(L, index));
    case LUA_TNUMBER:
        return number_text(lua_tonumber(L, index));
    default: {
        const char *text = lua_tolstring(L, index, &length);
        return clean_text(text, length);
    }
    }
}

/* The statement at index `sql` with the parameters from `first` up to the top of the stack. */
statement *statement_new(lua_State *L, int sql, int first) {
    const char *text = luaL_checkstring(L, sql);
    int count = lua_gettop(L) - first + 1;
    luaL_argcheck(L, count <= MOST_PARAMETERS, first, "too many parameters");
    for (int i = first; i < first + count; i++)
        if (!lua_isnil(L, i) && !lua_isboolean(L, i) && !lua_isstring(L, i))
            luaL_typerror(L, i, "text, a number or a boolean"); /* while nothing is allocated */
    statement *t = link_must(calloc(1, sizeof *t));
    t->sql = link_must(strdup(text));
    t->count = count;
    for (int i = 0; i < count; i++)
        t->values[i] = value_text(L, first + i);
    return t;
}

void statements_free(statement *t) {
    while (t) {
        statement *next = t->next;
        for (int i = 0; i < t->count; i++)
            free(t->values[i]);
        free(t->sql);
        free(t);
        t = next;
    }
}

/* ---- what went wrong ---- */

static void note(journal_link *l, const char *state, const char *detail) {
    snprintf(l->state, sizeof l->state, "%s", state ? state : "");
    scrub_format(l->detail, sizeof l->detail, "%s", detail);
    for (size_t length = strlen(l->detail); length > 0 && l->detail[length - 1] == '\n'; length--)
        l->detail[length - 1] = '\0';
}

static void note_result(journal_link *l, const PGresult *result) {
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    note(l, PQresultErrorField(result, PG_DIAG_SQLSTATE), message ? message : PQresultErrorMessage(result));
}

/* Whether the server may answer otherwise when it is asked again: it stops or starts, or chose this
 * transaction among those that waited for each other. */
static bool is_passing(const char *state) {
    static const char *const states[] = {"57P01", "57P02", "57P03", "53300", "40001", "40P01"};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(state, states[i]) == 0)
            return true;
    return strncmp(state, "08", 2) == 0;
}

/* ---- how a call ends ---- */

void link_drop(journal_link *l) {
    if (l->attempt)
        postgres_dial_give_up(l->attempt);
    l->attempt = NULL;
    postgres_dial_unwatch(&l->poll);
    if (l->timer)
        uv_timer_stop(l->timer);
    PQclear(link_take_rows(l));
    PQfinish(l->connection);
    l->connection = NULL;
    prepared_free(l->prepared);
    l->prepared = NULL;
    l->done = NULL;
}

/* Between two transactions a connection is as good as new. */
static struct {
    bool wanted;
    PGconn *connection;
    prepared *prepared;
} kept;

void link_keep(bool on) {
    kept.wanted = on;
    if (on)
        return;
    PQfinish(kept.connection);
    prepared_free(kept.prepared);
    kept.connection = NULL;
    kept.prepared = NULL;
}

bool link_is_kept(void) {
    return kept.connection != NULL;
}

static void leave_connection(journal_link *l) {
    if (!kept.wanted || kept.connection || !l->connection || l->done ||
        PQtransactionStatus(l->connection) != PQTRANS_IDLE)
        return;
    kept.connection = l->connection;
    kept.prepared = l->prepared;
    l->connection = NULL;
    l->prepared = NULL;
}

static bool take_kept(journal_link *l) {
    l->connection = kept.connection;
    l->prepared = kept.prepared;
    kept.connection = NULL;
    kept.prepared = NULL;
    return l->connection != NULL;
}

void link_close(journal_link *l) {
    leave_connection(l);
    link_drop(l);
    handle_discard(l->timer);
    l->timer = NULL;
}

static void end(journal_link *l, outcome o) {
    link_done *done = l->done;
    if (o == LOST)
        link_drop(l);
    postgres_dial_unwatch(&l->poll);
    uv_timer_stop(l->timer);
    l->done = NULL;
    done(l, o);
}

static void lose(journal_link *l) {
    if (PQstatus(l->connection) == CONNECTION_BAD || !*l->detail)
        note(l, NULL, PQerrorMessage(l->connection));
    end(l, LOST);
}

static void on_too_late(uv_timer_t *timer) {
    journal_link *l = timer->data;
    note(l, NULL, "the server does not answer");
    end(l, LOST);
}

static void begin(journal_link *l, int64_t deadline, link_done *done) {
    if (!l->timer) {
        l->timer = link_must(malloc(sizeof *l->timer));
        uv_timer_init(task_loop(), l->timer);
        l->timer->data = l;
    }
    l->done = done;
    *l->detail = '\0';
    int64_t left = deadline - clock_milliseconds();
    uv_update_time(task_loop());
    uv_timer_start(l->timer, on_too_late, left > 0 ? (uint64_t)left : 0, 0);
}

/* ---- connecting ---- */

static void ignore_notice(void *unused, const PGresult *result) {
    (void)unused, (void)result;
}

static void on_connected(void *data, PGconn *connection, const char *problem, const char *state) {
    journal_link *l = data;
    l->attempt = NULL;
    l->connection = connection;
    l->prepared = connection ? link_must(prepared_new()) : NULL;
    if (connection && PQenterPipelineMode(connection)) {
        end(l, DONE);
        return;
    }
    note(l, state, connection ? PQerrorMessage(connection) : problem);
    end(l, LOST);
}

void link_connect(journal_link *l, int64_t deadline, link_done *done) {
    link_drop(l);
    begin(l, deadline, done);
    if (take_kept(l)) {
        end(l, DONE);
        return;
    }
    int64_t left = deadline - clock_milliseconds();
    l->attempt =
        postgres_dial_begin(&l->settings, left > 0 ? (double)left / 1000 : 0, ignore_notice, on_connected, l);
}

/* ---- one exchange ---- */

PGresult *link_take_rows(journal_link *l) {
    PGresult *rows = l->rows;
    l->rows = NULL;
    return rows;
}

static outcome outcome_of(const journal_link *l) {
    if (l->answered < l->guarded && strcmp(l->state, DIVISION_BY_ZERO) == 0)
        return FENCED;
    return !*l->state || is_passing(l->state) ? LOST : REFUSED;
}

/* Takes one result; the first failure counts, as the server passes over all that follow it. */
static void take(journal_link *l, PGresult *result) {
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_FATAL_ERROR && l->first == DONE) {
        note_result(l, result);
        l->first = outcome_of(l);
    }
    if (status == PGRES_TUPLES_OK && l->wants_rows && l->answered == l->sent - 1) {
        PQclear(l->rows);
        l->rows = result;
    } else {
        PQclear(result);
    }
}

static void end_answer(journal_link *l) {
    if (l->first == DONE)
        prepared_note(l->prepared, l->answered);
    l->answered++;
}

/* Reads what has arrived: results, a NULL after those of each answer, and at the end that of the Sync. */
static void receive(journal_link *l) {
    while (!PQisBusy(l->connection)) {
        PGresult *result = PQgetResult(l->connection);
        if (result && PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
            PQclear(result);
            prepared_settle(l->prepared);
            end(l, l->first);
            return;
        }
        if (result)
            take(l, result);
        else
            end_answer(l);
        if (l->first == LOST || PQstatus(l->connection) == CONNECTION_BAD) {
            lose(l);
            return;
        }
    }
}

static void go_on(journal_link *l);

static void on_socket_ready(uv_poll_t *poll, int status, int events) {
    (void)status, (void)events; /* an error on the socket is told by libpq, in better words */
    journal_link *l = poll->data;
    if (PQconsumeInput(l->connection))
        go_on(l);
    else
        lose(l);
}

/* Sends what is left to send, and reads meanwhile: the server may wait for that. */
static void go_on(journal_link *l) {
    int unsent = PQflush(l->connection);
    if (unsent < 0 ||
        postgres_dial_watch(&l->poll, l->connection, unsent ? UV_READABLE | UV_WRITABLE : UV_READABLE,
                            on_socket_ready, l))
        lose(l);
    else
        receive(l);
}

static bool send_statements(journal_link *l, const statement *t) {
    for (; t; t = t->next)
        if (!prepared_send(l->prepared, l->connection, t->sql, t->count, (const char *const *)t->values,
                           &l->sent))
            return false;
    return true;
}

void link_exchange(journal_link *l, int64_t deadline, const statement *guard, const statement *queue,
                   const statement *main, link_done *done) {
    begin(l, deadline, done);
    l->wants_rows = main;
    l->sent = l->answered = 0;
    l->first = DONE;
    bool sent = send_statements(l, guard);
    l->guarded = l->sent;
    sent = sent && send_statements(l, queue) && send_statements(l, main);
    if (sent && PQpipelineSync(l->connection))
        go_on(l);
    else
        lose(l);
}
