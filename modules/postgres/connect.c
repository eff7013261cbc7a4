/* Connecting, which is runtime/net/postgres_dial.c's: its settings and the CA's certificates; see connect.h.
 */
#define _GNU_SOURCE /* memfd_create */
#include "postgres/connect.h"

#include "base/error.h"
#include "base/hidden.h"
#include "base/scrub.h"
#include "base/secret.h"
#include "postgres/connection.h"
#include "postgres/error.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LONGEST_HOST 255

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
    int ca_file;                     /* a file in memory with the CA's certificates, or -1 */
    postgres_dial_settings settings; /* texts belong to the wait's environment */
    char ca_path[32];
    char problem[1024]; /* why it failed; empty on success */
} connecting;

static void end(connecting *k, const char *problem) {
    if (k->ca_file >= 0)
        close(k->ca_file);
    k->ca_file = -1;
    if (problem) {
        scrub_format(k->problem, sizeof k->problem, "%s", problem);
        pg_lose(k->connection, problem);
    }
    k->connection->operation = NULL;
    wait_done(&k->wait);
}

static void cancel_connecting(wait *w) {
    end((connecting *)w, "cancelled");
}

static void on_notice(void *data, const PGresult *result) {
    pg_notices_take(&((pg_connection *)data)->notices, result);
}

static void on_connected(void *data, PGconn *link, const char *problem, const char *state) {
    (void)state; /* the problem says it in words */
    pg_connection *c = data;
    c->link = link;
    c->attempt = NULL;
    end((connecting *)c->operation, link ? NULL : problem);
}

static int finish_connecting(lua_State *L, wait *w) {
    connecting *k = (connecting *)w;
    if (k->problem[0])
        return pg_raise_unconnected(L, k->connection->name, k->problem);
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
        if (!postgres_dial_set(&k->settings, keyword, value))
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
    postgres_dial_set(&k->settings, "sslrootcert", k->ca_path);
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
    const char *host = postgres_dial_get(&k->settings, "host");
    if (host && (strlen(host) > LONGEST_HOST || strchr(host, ',')))
        return error_raise(L, "usage", "connect takes one host name: '%s'", host);
    take_ca(L, k, CA); /* the last that may raise: from here on `end` closes the file */
    lua_setfenv(L, WAIT);
    k->connection->operation = &k->wait;
    snprintf(k->connection->doing, sizeof k->connection->doing, "connecting");
    k->connection->attempt =
        postgres_dial_begin(&k->settings, seconds, on_notice, on_connected, k->connection);
    return wait_park(L, &k->wait);
}
