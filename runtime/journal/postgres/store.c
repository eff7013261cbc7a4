/* The store of runs in PostgreSQL, for several controllers that share the work: its functions for Lua, of
 * which shared.lua makes what journal.h asks for.
 *
 * The task that asks waits, and whatever happens to it meanwhile, its request is served to its end: a
 * cancelled run has to record how it ended. */
#include "journal/postgres/store.h"

#include "base/error.h"
#include "base/secret.h"
#include "journal/journal.h"
#include "journal/postgres/listener.h"
#include "journal/postgres/requests.h"
#include "journal/statement.h"
#include "task/task.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_TYPE "hostler.journal.postgres"
#define CALL_TYPE "hostler.journal.postgres.call"
#define EAR_TYPE "hostler.journal.postgres.ear"
#define MOST_UNWRITTEN 4096 /* whoever adds more has to wait */

typedef struct {
    requests requests;
    PQconninfoOption *options; /* the texts of the link's settings */
    char name[256];            /* as people may see it */
    bool open;
} store;

/* ---- errors ---- */

static const struct {
    const char *state, *hint;
} hints[] = {
    {"25006", "this server only reads: name the primary one in HOSTLER_STORE"},
    {"42501", "make the user of HOSTLER_STORE the owner of its database, and use the same user everywhere"},
    {"42P07", "give the journal a database of its own: createdb NAME"},
    {"53100", "free some space on the server's disk, then go on with `hostler resume`"},
    {"", NULL},
};

/* A task that waits. */
typedef struct {
    wait wait;
    const char *store; /* its name, for an error */
    outcome o;
    char state[6], detail[400];
    PGresult *rows;
    statement *given; /* until they are the request's */
} call;

static int raise_outcome(lua_State *L, const call *c) {
    if (c->o == FENCED)
        return journal_raise_fenced(L);
    if (c->o == LOST) {
        error_push(L, "journal.away", "the journal %s cannot be reached: %s", c->store, c->detail);
        error_set(L, "hint", "see that the server runs and lets you in; HOSTLER_STORE says where it is");
        error_set(L, "sqlstate", *c->state ? c->state : NULL);
        return lua_error(L);
    }
    error_push(L, "journal", "the journal %s cannot be used: %s", c->store, c->detail);
    for (int i = 0; hints[i].hint; i++)
        if (strcmp(hints[i].state, c->state) == 0)
            error_set(L, "hint", hints[i].hint);
    return lua_error(L);
}

/* ---- calls ---- */

static store *check(lua_State *L, int index) {
    store *s = luaL_checkudata(L, index, STORE_TYPE);
    if (!s->open)
        luaL_error(L, "the journal is closed");
    return s;
}

static bool is_number(Oid type) {
    enum { INT8 = 20, INT2 = 21, INT4 = 23, FLOAT4 = 700, FLOAT8 = 701, NUMERIC = 1700 };
    return type == INT8 || type == INT2 || type == INT4 || type == FLOAT4 || type == FLOAT8 ||
           type == NUMERIC;
}

static void push_rows(lua_State *L, const PGresult *result) {
    int rows = result ? PQntuples(result) : 0, columns = result ? PQnfields(result) : 0;
    lua_createtable(L, rows, 0);
    for (int row = 0; row < rows; row++) {
        lua_createtable(L, 0, columns);
        for (int column = 0; column < columns; column++) {
            if (PQgetisnull(result, row, column))
                continue;
            const char *text = PQgetvalue(result, row, column);
            if (is_number(PQftype(result, column)))
                lua_pushnumber(L, strtod(text, NULL));
            else
                lua_pushlstring(L, text, (size_t)PQgetlength(result, row, column));
            lua_setfield(L, -2, PQfname(result, column));
        }
        lua_rawseti(L, -2, row + 1);
    }
}

static int collect_call(lua_State *L) {
    call *c = lua_touserdata(L, 1);
    PQclear(c->rows);
    c->rows = NULL;
    statements_free(c->given);
    c->given = NULL;
    return 0;
}

static int finish_rows(lua_State *L, wait *w) {
    call *c = (call *)w;
    if (c->o != DONE)
        return raise_outcome(L, c);
    push_rows(L, c->rows);
    return 1;
}

static int finish_nothing(lua_State *L, wait *w) {
    call *c = (call *)w;
    return c->o == DONE ? 0 : raise_outcome(L, c);
}

/* A new call, below everything else on the stack. */
static call *new_call(lua_State *L, int (*finish)(lua_State *, wait *)) {
    call *c = wait_new(L, sizeof *c, NULL, finish);
    luaL_getmetatable(L, CALL_TYPE);
    lua_setmetatable(L, -2);
    lua_insert(L, 1);
    c->wait.what = "the journal";
    c->store = check(L, 2)->name;
    return c;
}

/* Copied, as the task may be resumed when the next request is served. */
static void on_ended(void *asker, journal_link *link, outcome o) {
    call *c = asker;
    c->o = o;
    c->rows = link_take_rows(link);
    memcpy(c->state, link->state, sizeof c->state);
    memcpy(c->detail, link->detail, sizeof c->detail);
    wait_done(&c->wait);
}

static int park(lua_State *L, call *c) {
    lua_pushvalue(L, 1);
    return wait_park(L, &c->wait);
}

static int perform(lua_State *L, bool writes) {
    enum { CALL = 1, STORE, SQL, FIRST };
    call *c = new_call(L, finish_rows);
    requests_add(&check(L, STORE)->requests, statement_new(L, SQL, FIRST), writes, on_ended, c);
    return park(L, c);
}

/* write(store, sql, ...) -> rows. Waits, as all the following do. */
static int write_lua(lua_State *L) {
    return perform(L, true);
}

/* read(store, sql, ...) -> rows */
static int read_lua(lua_State *L) {
    return perform(L, false);
}

/* transaction(store, { { sql, ..., n = parameters }, ... }) -> rows of the last */
static int transaction_lua(lua_State *L) {
    enum { CALL = 1, STORE, LIST, ITEM, SQL, FIRST };
    call *c = new_call(L, finish_rows);
    luaL_checktype(L, LIST, LUA_TTABLE);
    int count = (int)lua_objlen(L, LIST);
    luaL_argcheck(L, count > 0, LIST, "no statements");
    statement **last = &c->given;
    for (int i = 1; i <= count; i++, last = &(*last)->next) {
        lua_settop(L, LIST);
        lua_rawgeti(L, LIST, i);
        unpack_statement(L, ITEM);
        *last = statement_new(L, SQL, FIRST);
    }
    lua_settop(L, LIST);
    statement *given = c->given;
    c->given = NULL;
    requests_add(&check(L, STORE)->requests, given, true, on_ended, c);
    return park(L, c);
}

/* drain(store): writes what later() was given. */
static int drain_lua(lua_State *L) {
    call *c = new_call(L, finish_nothing);
    requests_add(&check(L, 2)->requests, NULL, true, on_ended, c);
    return park(L, c);
}

static void hide(lua_State *L, const char *password) {
    if (!password || !*password)
        return;
    secret_push(L, password, strlen(password));
    lua_pop(L, 1);
}

static int finish_connecting(lua_State *L, wait *w) {
    int results = finish_nothing(L, w);
    lua_getfenv(L, 1);
    lua_getfield(L, -1, "store");
    hide(L, PQpass(check(L, -1)->requests.link.connection));
    return results;
}

/* connect(store): before everything else; it is not tried again. */
static int connect_lua(lua_State *L) {
    call *c = new_call(L, finish_connecting);
    lua_newtable(L);
    lua_pushvalue(L, 2);
    lua_setfield(L, -2, "store");
    lua_setfenv(L, 1);
    requests_connect(&check(L, 2)->requests, on_ended, c);
    return park(L, c);
}

/* later(store, sql, ...) -> true when there is so much that somebody has to wait. */
static int later_lua(lua_State *L) {
    requests *q = &check(L, 1)->requests;
    requests_later(q, statement_new(L, 2, 3));
    lua_pushboolean(L, q->unwritten >= MOST_UNWRITTEN && lua_isyieldable(L));
    return 1;
}

static statement *with_number(statement *t) {
    t->count++;
    return t;
}

static statement *as_guard(statement *t) {
    static const char format[] = "WITH matched AS (%s) SELECT 1 / count(*) FROM matched";
    char *sql = link_must(malloc(sizeof format + strlen(t->sql)));
    sprintf(sql, format, t->sql);
    free(t->sql);
    t->sql = sql;
    return with_number(t);
}

/* guard(store, matches, written, ...) */
static int guard_lua(lua_State *L) {
    requests *q = &check(L, 1)->requests;
    bool given = !lua_isnoneornil(L, 2);
    requests_guard(q, given ? as_guard(statement_new(L, 2, 4)) : NULL,
                   given ? with_number(statement_new(L, 3, 4)) : NULL);
    return 0;
}

/* waiting(store) -> for how many seconds the call that is served has been (0: none is), and what keeps it */
static int waiting_lua(lua_State *L) {
    const char *why;
    lua_pushnumber(L, (double)requests_waiting(&check(L, 1)->requests, &why) / 1000);
    lua_pushstring(L, why);
    return 2;
}

/* hear(store, bell) -> ear: the bell rings with each notification as long as this is kept. */
static int hear_lua(lua_State *L) {
    store *s = check(L, 1);
    bell *b = bell_check(L, 2);
    listener *l = lua_newuserdata(L, sizeof *l);
    listener_open(l, &s->requests.link.settings, b);
    luaL_getmetatable(L, EAR_TYPE);
    lua_setmetatable(L, -2);
    lua_createtable(L, 2, 0);
    for (int i = 1; i <= 2; i++) {
        lua_pushvalue(L, i);
        lua_rawseti(L, -2, i);
    }
    lua_setfenv(L, -2);
    return 1;
}

static int collect_ear(lua_State *L) {
    listener_close(lua_touserdata(L, 1));
    return 0;
}

/* name(store) -> the address, as people may see it */
static int name_lua(lua_State *L) {
    lua_pushstring(L, check(L, 1)->name);
    return 1;
}

/* ---- opening and closing ---- */

static void close_store(store *s) {
    if (!s->open)
        return;
    s->open = false;
    requests_close(&s->requests);
    PQconninfoFree(s->options);
}

static int close_lua(lua_State *L) {
    close_store(luaL_checkudata(L, 1, STORE_TYPE));
    return 0;
}

static void name_store(store *s) {
    const postgres_dial_settings *settings = &s->requests.link.settings;
    const char *host = postgres_dial_get(settings, "host"), *port = postgres_dial_get(settings, "port");
    const char *database = postgres_dial_get(settings, "dbname");
    snprintf(s->name, sizeof s->name, "postgresql://%s%s%s/%s", host ? host : "", port ? ":" : "",
             port ? port : "", database ? database : "");
}

/* The rules are those of the postgres module: TLS unless the address says otherwise, with a CA the server has
 * to prove who it is, and the host may come from $PGHOST. The rest is libpq's: its environment, its password
 * file. */
static void set_defaults(postgres_dial_settings *settings) {
    if (!postgres_dial_get(settings, "host") && !postgres_dial_get(settings, "hostaddr"))
        postgres_dial_set(settings, "host", getenv("PGHOST"));
    if (!postgres_dial_get(settings, "sslmode"))
        postgres_dial_set(settings, "sslmode",
                          postgres_dial_get(settings, "sslrootcert") ? "verify-full" : "require");
    postgres_dial_set(settings, "fallback_application_name", "hostler");
    postgres_dial_set(settings, "client_encoding", "UTF8");
}

static void take_uri(lua_State *L, store *s, const char *uri) {
    char *problem = NULL;
    s->options = PQconninfoParse(uri, &problem);
    PQfreemem(problem); /* it quotes the URI, and so perhaps a password */
    if (!s->options) {
        error_push(L, "usage", "HOSTLER_STORE is no URI that PostgreSQL understands");
        error_set(L, "hint",
                  "postgresql://USER@HOST:PORT/DBNAME?sslmode=verify-full; characters like @ : / % in a "
                  "password are percent-encoded");
        lua_error(L);
    }
    for (const PQconninfoOption *o = s->options; o->keyword; o++) {
        if (!o->val)
            continue;
        postgres_dial_set(&s->requests.link.settings, o->keyword, o->val);
        if (strstr(o->keyword, "password"))
            hide(L, o->val);
    }
    name_store(s);
    set_defaults(&s->requests.link.settings);
}

/* open(uri, patience, lease) -> store; `patience` is the longest that a call may take, and `lease` the time
 * from a transaction with a guard to the end of what may wait for the server; in seconds. */
static int open_lua(lua_State *L) {
    const char *uri = luaL_checkstring(L, 1);
    double patience = luaL_checknumber(L, 2), lease = luaL_checknumber(L, 3);
    store *s = lua_newuserdata(L, sizeof *s);
    memset(s, 0, sizeof *s);
    luaL_getmetatable(L, STORE_TYPE);
    lua_setmetatable(L, -2);
    s->open = true;
    requests_open(&s->requests, patience, lease);
    take_uri(L, s, uri);
    return 1;
}

void journal_postgres_keep(bool on) {
    link_keep(on);
}

int journal_postgres_kept_descriptors(void) {
    return link_is_kept() ? 1 : 0;
}

static void add_metatable(lua_State *L, const char *type, lua_CFunction collect) {
    luaL_newmetatable(L, type);
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

int journal_postgres_open(lua_State *L) {
    static const luaL_Reg plain[] = {{"open", open_lua},       {"later", later_lua}, {"guard", guard_lua},
                                     {"waiting", waiting_lua}, {"name", name_lua},   {"hear", hear_lua},
                                     {"close", close_lua},     {NULL, NULL}};
    static const luaL_Reg waiting[] = {
        {"connect", connect_lua}, {"write", write_lua}, {"transaction", transaction_lua},
        {"read", read_lua},       {"drain", drain_lua}, {NULL, NULL}};
    add_metatable(L, STORE_TYPE, close_lua);
    add_metatable(L, CALL_TYPE, collect_call);
    add_metatable(L, EAR_TYPE, collect_ear);
    lua_newtable(L);
    luaL_register(L, NULL, plain);
    task_register_shielded(L, waiting);
    return 1;
}
