/* Connecting, which is runtime/net/postgres_dial.c's: its settings, the CA's certificates, what the server
 * remarks.
 */
#define _GNU_SOURCE /* memfd_create */
#include "postgres/postgres.h"

#include "base/error.h"
#include "base/hidden.h"
#include "base/secret.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LONGEST_HOST 255
#define MOST_NOTICES 100
#define LONGEST_NOTICE 4096

/* ---- notices ---- */

typedef struct {
    char severity[16], sqlstate[6];
    char *message;
} notice;

struct pg_notices {
    int count;
    notice list[MOST_NOTICES];
};

/* Keeps the newest: the server may send any number of them. */
static void take_notice(void *data, const PGresult *result) {
    pg_connection *c = data;
    if (!c->notices)
        c->notices = calloc(1, sizeof *c->notices);
    pg_notices *notices = c->notices;
    if (!notices)
        return;
    if (notices->count == MOST_NOTICES) {
        free(notices->list[0].message);
        notices->count--;
        memmove(notices->list, notices->list + 1, (size_t)notices->count * sizeof notices->list[0]);
    }
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    notice *kept = &notices->list[notices->count++];
    snprintf(kept->severity, sizeof kept->severity, "%s", severity ? severity : "NOTICE");
    snprintf(kept->sqlstate, sizeof kept->sqlstate, "%s", sqlstate ? sqlstate : "");
    kept->message = strndup(message ? message : "", LONGEST_NOTICE);
}

void pg_notices_push(lua_State *L, pg_connection *c) {
    lua_newtable(L);
    for (int i = 0; c->notices && i < c->notices->count; i++) {
        const notice *n = &c->notices->list[i];
        lua_createtable(L, 0, 3);
        error_set(L, "severity", n->severity);
        error_set(L, "sqlstate", n->sqlstate);
        error_set(L, "message", n->message);
        lua_rawseti(L, -2, i + 1);
    }
    pg_notices_free(c->notices);
    c->notices = NULL;
}

void pg_notices_free(pg_notices *notices) {
    for (int i = 0; notices && i < notices->count; i++)
        free(notices->list[i].message);
    free(notices);
}

/* ---- connection strings ---- */

/* Pushes the keywords of a connection string; pushes nothing and returns false when it is not one. libpq's
 * message is not shown: it quotes the string, and so perhaps a password. */
static bool push_keywords(lua_State *L, const char *uri, bool is_secret) {
    char *problem = NULL;
    PQconninfoOption *options = PQconninfoParse(uri, &problem);
    PQfreemem(problem);
    if (!options)
        return false;
    lua_newtable(L);
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        if (!o->val)
            continue;
        if (is_secret && strcmp(o->keyword, "password") == 0)
            secret_push(L, o->val, strlen(o->val));
        else
            lua_pushstring(L, o->val);
        lua_setfield(L, -2, o->keyword);
    }
    PQconninfoFree(options);
    return true;
}

int pg_parse_lua(lua_State *L) {
    if (push_keywords(L, secret_tolstring(L, 1, NULL), secret_is(L, 1)))
        return 1;
    error_push(L, "usage", "this is not a connection string that PostgreSQL understands");
    error_set(L, "hint",
              "postgresql://USER:PASSWORD@HOST:PORT/DBNAME?sslmode=verify-full; characters like @ : / % in a "
              "password are percent-encoded");
    return lua_error(L);
}

int pg_parse_shown_lua(lua_State *L) {
    const char *shown = hidden_shown(L, 1, NULL);
    return shown && push_keywords(L, shown, false) ? 1 : 0;
}

/* ---- connecting ---- */

typedef struct {
    wait wait;
    pg_connection *connection;
    int ca_file;          /* a file in memory with the CA's certificates, or -1 */
    pq_settings settings; /* texts belong to the wait's environment */
    char ca_path[32];
    char problem[1024]; /* why it failed; empty on success */
} connecting;

static void end(connecting *k, const char *problem) {
    if (k->ca_file >= 0)
        close(k->ca_file);
    k->ca_file = -1;
    if (problem) {
        snprintf(k->problem, sizeof k->problem, "%s", problem);
        pg_lose(k->connection, problem);
    }
    k->connection->operation = NULL;
    wait_done(&k->wait);
}

static void cancel_connecting(wait *w) {
    end((connecting *)w, "cancelled");
}

static void on_connected(void *data, PGconn *link, const char *problem) {
    pg_connection *c = data;
    c->link = link;
    c->attempt = NULL;
    end((connecting *)c->operation, link ? NULL : problem);
}

static int finish_connecting(lua_State *L, wait *w) {
    connecting *k = (connecting *)w;
    if (k->problem[0])
        return pg_raise_unconnected(L, k->connection, k->problem);
    lua_getfenv(L, 1);
    lua_getfield(L, -1, "handle");
    return 1;
}

/* Reads the table of keywords at `index`; the table on top of the stack keeps its texts alive. */
static void take_keywords(lua_State *L, connecting *k, int index) {
    lua_pushvalue(L, index);
    lua_setfield(L, -2, "keywords");
    lua_pushnil(L);
    while (lua_next(L, index)) {
        size_t length;
        const char *keyword = luaL_checkstring(L, -2), *value = secret_tolstring(L, -1, &length);
        if (strlen(value) != length)
            error_raise(L, "usage", "the connection setting '%s' contains a NUL byte", keyword);
        if (!pq_set(&k->settings, keyword, value))
            error_raise(L, "usage", "too many connection settings");
        lua_pop(L, 1);
    }
}

/* The certificates reach libpq as a file that exists in memory only. */
static void take_ca(lua_State *L, connecting *k, int index) {
    k->ca_file = -1;
    if (lua_isnoneornil(L, index))
        return;
    size_t length;
    const char *text = luaL_checklstring(L, index, &length);
    int file = memfd_create("ca", MFD_CLOEXEC);
    if (file < 0 || write(file, text, length) != (ssize_t)length) {
        if (file >= 0)
            close(file);
        error_raise(L, "postgres.connect", "cannot keep the CA certificate in memory");
    }
    k->ca_file = file;
    snprintf(k->ca_path, sizeof k->ca_path, "/proc/self/fd/%d", file);
    pq_set(&k->settings, "sslrootcert", k->ca_path);
}

int pg_connect_lua(lua_State *L) {
    enum { NAME = 1, KEYWORDS, SECONDS, CA, WAIT };
    const char *name = luaL_checkstring(L, NAME);
    luaL_checktype(L, KEYWORDS, LUA_TTABLE);
    double seconds = luaL_checknumber(L, SECONDS);
    luaL_argcheck(L, seconds > 0 && seconds < 1e6, SECONDS, "seconds, more than 0");
    lua_settop(L, CA);
    if (!task_in_effect())
        return error_raise(L, "internal", "postgres: a connection outside an effect");
    connecting *k = wait_new(L, sizeof *k, cancel_connecting, finish_connecting);
    k->wait.what = "a connection to PostgreSQL";
    lua_newtable(L); /* the environment: keeps alive what the wait points to */
    k->connection = pg_push_handle(L, name);
    lua_setfield(L, -2, "handle");
    take_keywords(L, k, KEYWORDS);
    const char *host = pq_get(&k->settings, "host");
    if (host && (strlen(host) > LONGEST_HOST || strchr(host, ',')))
        return error_raise(L, "usage", "connect takes one host name: '%s'", host);
    take_ca(L, k, CA); /* the last that may raise: from here on `end` closes the file */
    lua_setfenv(L, WAIT);
    k->connection->operation = &k->wait;
    snprintf(k->connection->doing, sizeof k->connection->doing, "connecting");
    k->connection->attempt = pq_connect(&k->settings, seconds, take_notice, on_connected, k->connection);
    return wait_park(L, &k->wait);
}
