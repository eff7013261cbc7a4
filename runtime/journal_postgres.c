/* The store of runs in PostgreSQL, for several controllers that share the work; the contract is in journal.h.
 *
 * A transaction is one pipeline: its statements and the Sync that commits them are sent at once, and answered
 * at once. So it takes one round trip, and none is left open when this process is stopped in its midst. Calls
 * stop the loop, as those of the SQLite store do, but never for longer than the store's patience.
 *
 * A connection that is lost is made anew within that time and the transaction sent again. It may have been
 * committed the first time. With a guard this is known by its number; without one the statements have to bear
 * it. */
#include "journal_postgres.h"

#include "error.h"
#include "journal.h"
#include "journal_link.h"
#include "secret.h"
#include "task.h"

#include <inttypes.h>
#include <lauxlib.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_TYPE "hostler.journal.postgres"
#define CLOCK "CAST(extract(epoch FROM now()) AS double precision)"
#define LATER_MS 200
#define PAUSE_MS 50       /* between two tries to connect */
#define SHORT_TRY_MS 1000 /* once the server was found missing, until it is back */
#define MOST_QUEUED 256
#define MIGRATION_LOCK "7306369415128018543" /* any number that other programs do not use */

typedef struct {
    journal_link link;
    char name[256]; /* as people may see it */
    int64_t patience_ms;
    bool open, missing; /* missing: it did not answer when it was tried last */
    statement *first, **last;
    int queue_length;
    uv_timer_t *timer;
    statement *guard, *written;
    int64_t number; /* of the transaction, for the guard */
    uint64_t writes;
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

static int raise_outcome(lua_State *L, store *s, outcome o) {
    if (o == FENCED)
        return journal_raise_fenced(L);
    if (o == LOST) {
        error_push(L, "journal", "the journal %s cannot be reached: %s", s->name, s->link.detail);
        error_set(L, "hint", "see that the server runs and lets you in; HOSTLER_STORE says where it is");
        return lua_error(L);
    }
    error_push(L, "journal", "the journal %s cannot be used: %s", s->name, s->link.detail);
    for (int i = 0; hints[i].hint; i++)
        if (strcmp(hints[i].state, s->link.state) == 0)
            error_set(L, "hint", hints[i].hint);
    return lua_error(L);
}

/* ---- transactions ---- */

/* Waits a moment before the next try; false when there is no time for one. */
static bool pause_before_retry(int64_t deadline) {
    if (link_now() + PAUSE_MS >= deadline)
        return false;
    poll(NULL, 0, PAUSE_MS);
    return true;
}

/* Whether the transaction of the guard's present number was committed by an earlier try. */
static bool was_written(store *s, int64_t deadline) {
    PGresult *rows = NULL;
    bool found = link_exchange(&s->link, deadline, NULL, NULL, s->written, &rows) == DONE && rows &&
                 PQntuples(rows) > 0;
    PQclear(rows);
    return found;
}

static void set_number(statement *t, int64_t number) {
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, number);
    free(t->values[t->count - 1]);
    t->values[t->count - 1] = link_must(strdup(text));
}

static outcome transact_until(store *s, int64_t deadline, bool writes, const statement *main,
                              PGresult **rows) {
    const statement *guard = writes ? s->guard : NULL;
    bool tried = false;
    for (;;) {
        /* Half of the time is left for a second try when the first one's connection is dead and does not
         * tell. */
        int64_t half = link_now() + (deadline - link_now()) / 2, this_deadline = tried ? deadline : half;
        outcome o = s->link.connection ? DONE : link_connect(&s->link, deadline);
        if (o == DONE) {
            o = link_exchange(&s->link, this_deadline, guard, writes ? s->first : NULL, main, rows);
            if (o == FENCED && tried && was_written(s, deadline))
                return DONE;
            tried = true;
        }
        if (o != LOST || !pause_before_retry(deadline))
            return o;
        PQclear(*rows);
        *rows = NULL;
    }
}

static void empty_queue(store *s) {
    while (s->first) {
        statement *t = s->first;
        s->first = t->next;
        statement_free(t);
    }
    s->last = &s->first;
    s->queue_length = 0;
    if (s->timer)
        uv_timer_stop(s->timer);
}

/* Runs the queue, when it is to be written, and `main`, when there is one. The queue is kept when that fails.
 */
static outcome transact(store *s, bool writes, const statement *main, PGresult **rows) {
    int64_t time = s->missing ? SHORT_TRY_MS : s->patience_ms;
    if (time > s->patience_ms)
        time = s->patience_ms;
    if (writes && s->guard) {
        set_number(s->guard, ++s->number);
        set_number(s->written, s->number);
    }
    *rows = NULL;
    outcome o = transact_until(s, link_now() + time, writes, main, rows);
    s->missing = o == LOST;
    if (o != DONE) {
        PQclear(*rows);
        *rows = NULL;
    } else if (writes) {
        empty_queue(s);
        s->writes++;
    }
    return o;
}

/* ---- what later() is given ---- */

/* On a failure it stays queued: the next write tells. A server that is missing is not waited for. */
static void on_later(uv_timer_t *timer) {
    store *s = timer->data;
    PGresult *rows;
    if (s->first && s->link.connection && !s->missing)
        transact(s, true, NULL, &rows);
}

static void free_timer(uv_handle_t *handle) {
    free(handle);
}

static void start_timer(store *s) {
    if (!s->timer) {
        s->timer = link_must(malloc(sizeof *s->timer));
        uv_timer_init(task_loop(), s->timer);
        uv_unref((uv_handle_t *)s->timer);
        s->timer->data = s;
    }
    if (!uv_is_active((uv_handle_t *)s->timer))
        uv_timer_start(s->timer, on_later, LATER_MS, 0);
}

/* ---- the Lua side ---- */

static store *self(lua_State *L) {
    store *s = lua_touserdata(L, lua_upvalueindex(1));
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

static int perform(lua_State *L, bool writes) {
    store *s = self(L);
    statement *main = statement_new(L, 1, 2);
    PGresult *rows;
    outcome o = transact(s, writes, main, &rows);
    statement_free(main);
    if (o != DONE)
        return raise_outcome(L, s, o);
    push_rows(L, rows);
    PQclear(rows);
    return 1;
}

static int write_lua(lua_State *L) {
    return perform(L, true);
}

static int read_lua(lua_State *L) {
    return perform(L, self(L)->first != NULL);
}

static int later_lua(lua_State *L) {
    store *s = self(L);
    statement *t = statement_new(L, 1, 2);
    *s->last = t;
    s->last = &t->next;
    start_timer(s);
    if (++s->queue_length < MOST_QUEUED)
        return 0;
    PGresult *rows;
    outcome o = transact(s, true, NULL, &rows);
    PQclear(rows);
    return o == DONE ? 0 : raise_outcome(L, s, o);
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

static int guard_lua(lua_State *L) {
    store *s = self(L);
    bool given = !lua_isnoneornil(L, 1);
    statement *guard = given ? as_guard(statement_new(L, 1, 3)) : NULL;
    statement *written = given ? with_number(statement_new(L, 2, 3)) : NULL;
    statement_free(s->guard);
    statement_free(s->written);
    s->guard = guard;
    s->written = written;
    s->number = 0;
    return 0;
}

static int writes_lua(lua_State *L) {
    lua_pushnumber(L, (double)self(L)->writes);
    return 1;
}

/* ---- tables ---- */

static outcome execute(store *s, const char *sql, int *value) {
    return link_execute(&s->link, link_now() + s->patience_ms, sql, value);
}

static outcome read_version(store *s, int *version) {
    int present = 0;
    *version = 0;
    outcome o =
        execute(s, "SELECT count(*) FROM pg_class WHERE oid = to_regclass('journal_version')", &present);
    return o == DONE && present ? execute(s, "SELECT version FROM journal_version", version) : o;
}

static int version_lua(lua_State *L) {
    store *s = self(L);
    int version;
    outcome o = read_version(s, &version);
    if (o != DONE)
        return raise_outcome(L, s, o);
    lua_pushinteger(L, version);
    return 1;
}

static int migrate_lua(lua_State *L) {
    store *s = self(L);
    const char *sql = luaL_checkstring(L, 1);
    int version = (int)luaL_checkinteger(L, 2), present = 0;
    char set_version[200];
    snprintf(
        set_version, sizeof set_version,
        "CREATE TABLE IF NOT EXISTS journal_version (version BIGINT NOT NULL); DELETE FROM journal_version; "
        "INSERT INTO journal_version VALUES (%d)",
        version);
    outcome o = execute(s, "BEGIN; SELECT pg_advisory_xact_lock(" MIGRATION_LOCK ")", NULL);
    if (o == DONE)
        o = read_version(s, &present);
    if (o == DONE && present < version)
        o = execute(s, sql, NULL);
    if (o == DONE && present < version)
        o = execute(s, set_version, NULL);
    if (o == DONE)
        o = execute(s, "COMMIT", NULL);
    if (o == DONE)
        return 0;
    link_drop(&s->link); /* which ends the transaction */
    return raise_outcome(L, s, o);
}

/* ---- opening and closing ---- */

static void close_store(store *s) {
    if (!s->open)
        return;
    PGresult *rows;
    if (s->first && s->link.connection && !s->missing)
        transact(s, true, NULL, &rows);
    empty_queue(s);
    if (s->timer)
        uv_close((uv_handle_t *)s->timer, free_timer);
    statement_free(s->guard);
    statement_free(s->written);
    link_drop(&s->link);
    free(s->link.uri);
    s->open = false;
}

static int close_lua(lua_State *L) {
    close_store(lua_touserdata(L, lua_upvalueindex(1)));
    return 0;
}

static int collect(lua_State *L) {
    close_store(lua_touserdata(L, 1));
    return 0;
}

static void hide(lua_State *L, const char *password) {
    if (!password || !*password)
        return;
    secret_push(L, password, strlen(password));
    lua_pop(L, 1);
}

/* Names the store by what may be seen of its URI, and hides the rest from now on. */
static void take_uri(lua_State *L, store *s) {
    char *problem = NULL;
    PQconninfoOption *options = PQconninfoParse(s->link.uri, &problem);
    PQfreemem(problem); /* it quotes the URI, and so perhaps a password */
    if (!options) {
        error_push(L, "usage", "HOSTLER_STORE is no URI that PostgreSQL understands");
        error_set(L, "hint",
                  "postgresql://USER@HOST:PORT/DBNAME?sslmode=verify-full; characters like @ : / % in a "
                  "password are percent-encoded");
        lua_error(L);
    }
    const char *host = "", *port = "", *database = "";
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        if (strcmp(o->keyword, "host") == 0 && o->val)
            host = o->val;
        else if (strcmp(o->keyword, "port") == 0 && o->val)
            port = o->val;
        else if (strcmp(o->keyword, "dbname") == 0 && o->val)
            database = o->val;
        else if (strstr(o->keyword, "password"))
            hide(L, o->val);
    }
    snprintf(s->name, sizeof s->name, "postgresql://%s%s%s/%s", host, *port ? ":" : "", port, database);
    PQconninfoFree(options);
}

static void add_functions(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"write", write_lua},     {"later", later_lua}, {"read", read_lua},
        {"writes", writes_lua},   {"guard", guard_lua}, {"version", version_lua},
        {"migrate", migrate_lua}, {"close", close_lua}, {NULL, NULL}};
    lua_newtable(L);
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushvalue(L, -2);
        lua_pushcclosure(L, f->func, 1);
        lua_setfield(L, -2, f->name);
    }
    lua_pushliteral(L, CLOCK);
    lua_setfield(L, -2, "clock");
}

int journal_postgres_lua(lua_State *L) {
    const char *uri = luaL_checkstring(L, 1);
    double patience = luaL_checknumber(L, 2);
    store *s = lua_newuserdata(L, sizeof *s);
    memset(s, 0, sizeof *s);
    s->last = &s->first;
    s->patience_ms = (int64_t)(patience * 1000);
    if (luaL_newmetatable(L, STORE_TYPE)) {
        lua_pushcfunction(L, collect);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    s->open = true;
    s->link.uri = link_must(strdup(uri));
    take_uri(L, s);
    outcome o = link_connect(&s->link, link_now() + s->patience_ms);
    if (o != DONE)
        return raise_outcome(L, s, o);
    hide(L, PQpass(s->link.connection));
    add_functions(L);
    lua_pushstring(L, s->name);
    lua_setfield(L, -2, "name");
    return 1;
}
