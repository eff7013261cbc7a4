/* The connection of the store in PostgreSQL; see journal_link.h. libpq is used without its blocking calls, so
 * that nothing takes longer than it may. (It resolves the server's name, though, with the system's patience.)
 */
#include "journal_link.h"

#include "text.h"

#include <errno.h>
#include <lauxlib.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define DIVISION_BY_ZERO "22012"

int64_t link_now(void) {
    return (int64_t)(uv_hrtime() / 1000000);
}

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
        if (!lua_isnil(L, i) && !lua_isboolean(L, i))
            luaL_checkstring(L, i); /* raises while nothing is allocated */
    statement *t = link_must(calloc(1, sizeof *t));
    t->sql = link_must(strdup(text));
    t->count = count;
    for (int i = 0; i < count; i++)
        t->values[i] = value_text(L, first + i);
    return t;
}

void statement_free(statement *t) {
    if (!t)
        return;
    for (int i = 0; i < t->count; i++)
        free(t->values[i]);
    free(t->sql);
    free(t);
}

/* ---- what went wrong ---- */

static void note(journal_link *l, const char *state, const char *detail) {
    snprintf(l->state, sizeof l->state, "%s", state ? state : "");
    snprintf(l->detail, sizeof l->detail, "%s", detail);
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

/* ---- the connection ---- */

void link_drop(journal_link *l) {
    PQfinish(l->connection);
    l->connection = NULL;
}

/* False when the time is over. */
static bool wait_for_socket(journal_link *l, short events, int64_t deadline) {
    for (;;) {
        int64_t left = deadline - link_now();
        struct pollfd socket = {.fd = PQsocket(l->connection), .events = events};
        int ready = left > 0 ? poll(&socket, 1, (int)left) : 0;
        if (ready > 0)
            return true;
        if (ready == 0) {
            note(l, NULL, "the server does not answer");
            return false;
        }
        if (errno != EINTR) {
            note(l, NULL, strerror(errno));
            return false;
        }
    }
}

static void ignore_notice(void *unused, const PGresult *result) {
    (void)unused, (void)result;
}

/* The URI decides about TLS, and libpq's environment and password file about what it leaves open. */
outcome link_connect(journal_link *l, int64_t deadline) {
    const char *const keywords[] = {"dbname", "fallback_application_name", "client_encoding", NULL};
    const char *const values[] = {l->uri, "hostler", "UTF8", NULL};
    link_drop(l);
    l->connection = PQconnectStartParams(keywords, values, 1);
    PostgresPollingStatusType status =
        PQstatus(l->connection) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
    while (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING) {
        if (!wait_for_socket(l, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline)) {
            link_drop(l);
            return LOST;
        }
        status = PQconnectPoll(l->connection);
    }
    if (status != PGRES_POLLING_OK || PQsetnonblocking(l->connection, 1) ||
        !PQenterPipelineMode(l->connection)) {
        note(l, NULL, PQerrorMessage(l->connection));
        link_drop(l);
        return LOST;
    }
    PQsetNoticeReceiver(l->connection, ignore_notice, NULL);
    return DONE;
}

/* ---- one exchange ---- */

static outcome lose(journal_link *l) {
    if (PQstatus(l->connection) == CONNECTION_BAD || !*l->detail)
        note(l, NULL, PQerrorMessage(l->connection));
    link_drop(l);
    return LOST;
}

static bool flush(journal_link *l, int64_t deadline) {
    int left;
    while ((left = PQflush(l->connection)) == 1)
        if (!wait_for_socket(l, POLLIN | POLLOUT, deadline) || !PQconsumeInput(l->connection))
            return false;
    return left == 0;
}

/* The next result, or NULL between two of them. Sets `lost` when none will come. */
static PGresult *next_result(journal_link *l, int64_t deadline, bool *lost) {
    while (PQisBusy(l->connection)) {
        if (!wait_for_socket(l, POLLIN, deadline) || !PQconsumeInput(l->connection)) {
            *lost = true;
            return NULL;
        }
    }
    return PQgetResult(l->connection);
}

/* Reads one statement's answer; keeps its rows when `rows` is given. */
static outcome receive(journal_link *l, int64_t deadline, bool is_guard, PGresult **rows) {
    outcome o = DONE;
    bool lost = false;
    for (PGresult *result; (result = next_result(l, deadline, &lost));) {
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_FATAL_ERROR) {
            note_result(l, result);
            o = is_guard && strcmp(l->state, DIVISION_BY_ZERO) == 0 ? FENCED
                : !*l->state || is_passing(l->state)                ? LOST
                                                                    : REFUSED;
        }
        if (rows && status == PGRES_TUPLES_OK)
            *rows = result;
        else
            PQclear(result);
        lost = PQstatus(l->connection) == CONNECTION_BAD;
        if (status == PGRES_PIPELINE_SYNC || lost)
            break;
    }
    return lost ? LOST : o;
}

static bool send_statement(journal_link *l, const statement *t) {
    return PQsendQueryParams(l->connection, t->sql, t->count, NULL, (const char *const *)t->values, NULL,
                             NULL, 0);
}

/* Sends guard, queue and `main` as one transaction (those that are not NULL) and reads all answers. */
outcome link_exchange(journal_link *l, int64_t deadline, const statement *guard, const statement *queue,
                      const statement *main, PGresult **rows) {
    int count = 0;
    *l->detail = '\0';
    bool sent = !guard || (++count && send_statement(l, guard));
    for (const statement *t = queue; t && sent; t = t->next, count++)
        sent = send_statement(l, t);
    if (main && sent)
        sent = ++count && send_statement(l, main);
    if (!sent || !PQpipelineSync(l->connection) || !flush(l, deadline))
        return lose(l);
    outcome first = DONE;
    for (int i = 0; i <= count; i++) { /* the last answer is that to the Sync */
        outcome o = receive(l, deadline, guard && i == 0, main && i == count - 1 ? rows : NULL);
        first = first == DONE ? o : first;
        if (o == LOST)
            break;
    }
    return first == LOST ? lose(l) : first;
}

/* Runs statements without parameters; the first number of the last result goes to `value`. */
outcome link_execute(journal_link *l, int64_t deadline, const char *sql, int *value) {
    outcome o = l->connection ? DONE : link_connect(l, deadline);
    if (o != DONE)
        return o;
    *l->detail = '\0';
    if (!PQexitPipelineMode(l->connection) || !PQsendQuery(l->connection, sql) || !flush(l, deadline))
        return lose(l);
    PGresult *rows = NULL;
    bool lost = false;
    for (PGresult *result; (result = next_result(l, deadline, &lost));) {
        if (PQresultStatus(result) == PGRES_FATAL_ERROR) {
            note_result(l, result);
            o = REFUSED;
        }
        PQclear(rows);
        rows = result;
        lost = PQstatus(l->connection) == CONNECTION_BAD;
        if (lost)
            break;
    }
    if (!lost && o == DONE && value)
        *value = PQntuples(rows) == 1 ? atoi(PQgetvalue(rows, 0, 0)) : 0;
    PQclear(rows);
    return lost || !PQenterPipelineMode(l->connection) ? lose(l) : o;
}
