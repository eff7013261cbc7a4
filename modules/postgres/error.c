/* What the server said, as errors: its own words, the place in the statement, and what to do next. */
#include "postgres/error.h"

#include "base/error.h"
#include "base/scrub.h"
#include "base/text.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDEST_EXCERPT 76

typedef struct {
    const char *sign; /* a part of the text, or an SQLSTATE */
    const char *hint;
} advice;

/* The first that matches counts. The signs are PostgreSQL's own texts for a failed connection, which has no
 * SQLSTATE. */
static const advice on_connecting[] = {
    {"cannot be resolved", "check the host name, and whether this machine's DNS works"},
    {"no pg_hba.conf entry",
     "the server does not take connections from this address: add it to the cluster's trusted "
     "sources (or pg_hba.conf); \"no encryption\" in the text means that it wants TLS"},
    {"password authentication failed",
     "user or password is wrong: compare with the provider's connection details"},
    {"no password supplied", "give a password: { password = secret(\"...\") }"},
    {"does not match host name", "connect by a name that is in the server's certificate"},
    {"certificate verify failed",
     "the server's certificate is not signed by the CA that was given: check ca_file or ca"},
    {"root certificate file", "give the CA's certificate: ca_file = PATH or ca = PEM text"},
    {"no certificate or crl found", "ca or ca_file holds no PEM certificate"},
    {"could not read root certificate file", "ca or ca_file holds no PEM certificate"},
    {"does not support SSL",
     "the server has no TLS: turn it on there, or say sslmode = \"disable\" if nobody can listen"},
    {"too many", "the server has no free connection: close others, or wait"},
    {"remaining connection slots", "the server has no free connection: close others, or wait"},
    {"starting up", "the server is starting: try again in a moment"},
    {"shutting down", "the server is stopping"},
    {"no answer within",
     "host up and port open to this address? A firewall that drops packets looks like this"},
    {"timeout expired",
     "host up and port open to this address? A firewall that drops packets looks like this"},
    {"No route to host", "check the address and the network"},
    {"Network is unreachable", "check the address and the network"},
    {"No such file or directory", "no server listens on that socket: check the directory and the port"},
    {"\" does not exist", "check the database and the user name"},
    /* Of a name with several addresses, one that answers says more than one where nothing listens. */
    {"Connection refused", "nothing listens there: check host and port, and whether the server is up"},
    {NULL, NULL},
};

static const advice on_statements[] = {
    {"25006", "this runs in a read-only transaction: use db:query in a step for what changes data"},
    {"25P02", "an earlier statement of this transaction failed; nothing more can be done in it"},
    {"40001", "another transaction came first: run the whole transaction again"},
    {"40P01", "two transactions waited for each other: run the whole transaction again"},
    {"42501", "the database user may not do this: connect as one who may, or grant it"},
    {"42601", "one statement a call; names and values are quoted with db:ident and parameters ($1)"},
    {"55P03", "somebody else holds the lock"},
    {"57014", "the server stopped the statement: its statement_timeout, or somebody cancelled it"},
    {NULL, NULL},
};

static const char *find(const advice *list, const char *text) {
    for (; list->sign; list++)
        if (strstr(text, list->sign))
            return list->hint;
    return NULL;
}

/* ---- where in the statement ---- */

static const char *next_character(const char *at, const char *end) {
    while (++at < end && !text_begins_character(*at))
        ;
    return at;
}

static const char *earlier_character(const char *at, const char *start, int count) {
    while (at > start && count > 0)
        if (text_begins_character(*--at))
            count--;
    return at;
}

/* Sets `excerpt` to a part of a line, with a caret below one of its columns; without one where a secret stood
 * in the part, for the columns are others then. */
static void set_excerpt_of(lua_State *L, int number, const char *from, size_t length, int column) {
    size_t clean_length;
    char *clean = scrub_beginning(from, length, length, &clean_length), label[24];
    int indent = snprintf(label, sizeof label, "line %d: ", number) + column;
    bool shows_all = clean_length == length && memcmp(clean, from, length) == 0;
    for (char *c = clean; *c; c++)
        *c = *c == '\t' || *c == '\r' ? ' ' : *c;
    lua_pushfstring(L, "%s%s", label, clean);
    free(clean);
    if (shows_all) {
        luaL_Buffer caret;
        luaL_buffinit(L, &caret);
        luaL_addchar(&caret, '\n');
        for (int i = 0; i < indent; i++)
            luaL_addchar(&caret, ' ');
        luaL_addchar(&caret, '^');
        luaL_pushresult(&caret);
        lua_concat(L, 2);
    }
    lua_setfield(L, -2, "excerpt");
}

/* Sets `excerpt`: the line that holds character `position` (from 1), with a caret below the character. */
static void set_excerpt(lua_State *L, const char *sql, int position) {
    const char *end = sql + strlen(sql), *at = sql, *line = sql;
    int number = 1;
    for (int i = 1; i < position && at < end; i++) {
        if (*at == '\n') {
            number++;
            line = at + 1;
        }
        at = next_character(at, end);
    }
    const char *line_end = at + strcspn(at, "\n");
    const char *from = earlier_character(at, line, WIDEST_EXCERPT / 2), *to = from;
    int column = 0;
    for (int width = 0; to < line_end && width < WIDEST_EXCERPT; width++) {
        column += to < at;
        to = next_character(to, line_end);
    }
    set_excerpt_of(L, number, from, (size_t)(to - from), column);
}

/* ---- the errors ---- */

int pg_raise_refused(lua_State *L, const PGresult *failure, const char *sql) {
    static const struct {
        const char *name;
        int code;
    } fields[] = {
        {"sqlstate", PG_DIAG_SQLSTATE},      {"severity", PG_DIAG_SEVERITY_NONLOCALIZED},
        {"detail", PG_DIAG_MESSAGE_DETAIL},  {"hint", PG_DIAG_MESSAGE_HINT},
        {"context", PG_DIAG_CONTEXT},        {"schema", PG_DIAG_SCHEMA_NAME},
        {"table", PG_DIAG_TABLE_NAME},       {"column", PG_DIAG_COLUMN_NAME},
        {"datatype", PG_DIAG_DATATYPE_NAME}, {"constraint", PG_DIAG_CONSTRAINT_NAME},
    };
    const char *message = PQresultErrorField(failure, PG_DIAG_MESSAGE_PRIMARY);
    const char *sqlstate = PQresultErrorField(failure, PG_DIAG_SQLSTATE);
    const char *position = PQresultErrorField(failure, PG_DIAG_STATEMENT_POSITION);
    /* Those end the server's process, perhaps between the deed and its word. */
    const char *severity = PQresultErrorField(failure, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (!message)
        message = PQresultErrorMessage(failure);
    error_push(L, "pg.query", sqlstate ? "%s (SQLSTATE %s)" : "%s", message, sqlstate);
    error_set(L, "hint", find(on_statements, sqlstate ? sqlstate : ""));
    error_set_boolean(L, "unclear",
                      severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0));
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        error_set(L, fields[i].name, PQresultErrorField(failure, fields[i].code));
    if (position) {
        lua_pushstring(L, position);
        int place = (int)lua_tointeger(L, -1);
        lua_pop(L, 1);
        error_set_integer(L, "position", place);
        if (sql && place > 0)
            set_excerpt(L, sql, place);
    }
    return lua_error(L);
}

/* libpq ends each line with a newline and puts its "connection to server at ..." before the reason, once for
 * each address; the last address's reason is told, the whole text is kept in `said`. */
static const char *reason_of(const char *said) {
    const char *reason = said;
    for (const char *at = said; (at = strstr(at, " failed: ")); reason = at)
        at += strlen(" failed: ");
    return reason;
}

int pg_raise_unconnected(lua_State *L, const char *name, const char *said) {
    const char *reason = reason_of(said);
    error_push(L, "postgres.connect", "cannot connect to the database %s: %.*s", name,
               (int)strcspn(reason, "\n"), reason);
    error_set(L, "said", said);
    error_set(L, "hint", find(on_connecting, said));
    error_set_boolean(L, "unclear", false);
    return lua_error(L);
}

int pg_raise_lost(lua_State *L, const char *name, const char *reason, bool during) {
    reason = reason ? reason : "out of memory";
    if (during) {
        error_push(L, "pg.closed", "the connection to %s ended during a statement: %.*s", name,
                   (int)strcspn(reason, "\n"), reason);
        error_set(L, "hint", "whether the statement was carried out is not known; connect again and look");
        error_set_boolean(L, "unclear", true);
    } else {
        error_push(L, "pg.closed", "the connection to %s is closed: %.*s", name, (int)strcspn(reason, "\n"),
                   reason);
        error_set(L, "hint", "connect again");
    }
    error_set(L, "said", reason);
    return lua_error(L);
}
