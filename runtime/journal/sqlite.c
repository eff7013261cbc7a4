/* The store of runs in one SQLite file: its functions for Lua, of which sqlite.lua makes what journal.h asks
 * for.
 *
 * Write-ahead logging lets others read while a run writes. A write is one transaction with synchronous=FULL:
 * one flush of the log. What later() is given waits in memory and goes with the next write, or, after a
 * moment, in a transaction that is not flushed: the log is written in order, so the next flush makes that one
 * durable as well.
 *
 * While another process has the file locked, a function returns false, for its caller to try again: the loop
 * does not stand still. Where the caller cannot wait, SQLite waits. */
#include "journal/journal.h"

#include "base/error.h"
#include "base/files.h"
#include "base/scrub.h"
#include "journal/folder_bell.h"
#include "journal/postgres/store.h"
#include "journal/sqlite_file.h"
#include "journal/sqlite_value.h"
#include "journal/statement.h"
#include "task/handle.h"
#include "task/task.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_TYPE "hostler.journal.sqlite"
#define BUSY_MS 10000
#define LATER_MS 200
#define MOST_QUEUED 256     /* they are written without waiting for more */
#define MOST_UNWRITTEN 4096 /* whoever adds more has to wait */
#define MOST_PARAMETERS 16
/* Beside SQLite's codes: */
#define FENCED (-1)   /* the guard matched no row */
#define REPLACED (-2) /* a file is not at its place any more */
#define SPOILED (-3)  /* something else has written to a file */

typedef struct queued queued;
struct queued {
    queued *next;
    sqlite3_stmt *statement;
    int count;
    value values[];
};

typedef struct {
    sqlite_file file;
    bool patient; /* the caller cannot wait */
    queued *first, **last;
    int queue_length;
    queued *guard;
    uv_timer_t *timer;
    char detail[200]; /* what SQLite said of the last failure: a rollback makes it forget */
} store;

/* ---- errors ---- */

typedef struct {
    int code;
    const char *message, *hint;
} problem;

static const problem problems[] = {
    {SQLITE_FULL, "the disk is full", "free some space there, then go on with `hostler resume`"},
    {SQLITE_READONLY, "it cannot be written",
     "make its directory writable, or name another one in XDG_STATE_HOME"},
    {SQLITE_PERM, "it cannot be written",
     "make its directory writable, or name another one in XDG_STATE_HOME"},
    {SQLITE_CANTOPEN, "it cannot be opened",
     "make its directory writable, or name another one in XDG_STATE_HOME"},
    {SQLITE_NOTADB, "it is damaged, or no journal",
     "put back a copy of it, or move it away to begin a new one"},
    {SQLITE_CORRUPT, "it is damaged", "put back a copy of it, or move it away to begin a new one"},
    {SQLITE_IOERR, "its disk fails", "look at the kernel's log, and for space on the disk"},
    {SQLITE_BUSY, "another process has kept it locked for ten seconds", "see what uses it: fuser FILE"},
    {REPLACED, "it was deleted or replaced while it was in use",
     "put it back where it was, then go on with `hostler resume`; what is done without it would be unknown"},
    {SPOILED, "it was overwritten or cut short while it was in use",
     "put back a copy of it, and remove its files -wal and -shm; `hostler runs` then shows what is on "
     "record. What was done since the copy was made is not: see to it before you go on with `hostler "
     "resume`"},
    {0, NULL, NULL},
};

/* Pushes the error of a failed call. */
static void push_problem(lua_State *L, const char *path, int code, const char *detail) {
    const problem *found = problems;
    while (found->message && found->code != (code > 0 ? code & 0xff : code))
        found++;
    error_push(L, "journal", "the journal %s cannot be used: %s (%s)", path,
               found->message ? found->message : "SQLite refused", detail);
    error_set(L, "hint", found->hint);
}

int journal_raise_fenced(lua_State *L) {
    error_push(L, "fenced", "this run was taken over by another process, so this one stops");
    error_set(L, "hint", "it was out of reach of the journal for too long");
    return lua_error(L);
}

typedef bool look(sqlite_watch *watch, sqlite3 *database);

/* What goes into a file that nobody finds, or nobody can read, is not on record. */
static int check_files(store *s, look *is_good) {
    sqlite_watch *watch = &s->file.watch;
    if (is_good(watch, s->file.database))
        return SQLITE_OK;
    snprintf(s->detail, sizeof s->detail, "%s", watch->problem);
    return watch->state == WATCH_REPLACED ? REPLACED : SPOILED;
}

/* SQLite fails in many ways where a file is not what it was. */
static int find_cause(store *s, int code) {
    int kind = code > 0 ? code & 0xff : 0;
    bool may_be_spoiled = kind == SQLITE_IOERR || kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB ||
                          kind == SQLITE_PROTOCOL || kind == SQLITE_CANTOPEN || kind == SQLITE_READONLY;
    int cause = may_be_spoiled && s->file.watch.place ? check_files(s, sqlite_watch_explain) : SQLITE_OK;
    return cause == SQLITE_OK ? code : cause;
}

static int raise_problem(lua_State *L, store *s, int code) {
    code = find_cause(s, code);
    if (code == FENCED)
        return journal_raise_fenced(L);
    if ((code & 0xff) == SQLITE_BUSY && code > 0 && !s->patient) {
        lua_pushboolean(L, 0); /* see guarded() */
        return lua_error(L);
    }
    /* Where SQLite only knows that a system call failed, the system knows why. */
    int reason = code > 0 && (code & 0xff) == SQLITE_IOERR ? sqlite_file_errno(&s->file) : 0;
    if (reason == ENOSPC || reason == EDQUOT)
        code = SQLITE_FULL;
    else if (reason == EROFS || reason == EACCES)
        code = SQLITE_READONLY;
    push_problem(L, s->file.path, code, *s->detail ? s->detail : sqlite3_errmsg(s->file.database));
    *s->detail = '\0';
    return lua_error(L);
}

static sqlite3_stmt *prepare(lua_State *L, store *s, const char *sql) {
    sqlite3_stmt *statement;
    int code = sqlite_file_prepare(&s->file, sql, &statement);
    if (code != SQLITE_OK)
        raise_problem(L, s, code);
    return statement;
}

/* ---- transactions ---- */

static int execute(store *s, const char *sql) {
    return sqlite_file_execute(&s->file, sql);
}

static void bind_queued(const queued *q) {
    for (int i = 0; i < q->count; i++)
        value_bind(q->statement, i + 1, &q->values[i]);
}

static int check_guard(store *s) {
    if (!s->guard)
        return SQLITE_OK;
    bind_queued(s->guard);
    int code = sqlite3_step(s->guard->statement);
    sqlite3_reset(s->guard->statement);
    return code == SQLITE_DONE ? FENCED : code == SQLITE_ROW ? SQLITE_OK : code;
}

static int begin(store *s, bool flush) {
    int code = check_files(s, sqlite_watch_before);
    if (code == SQLITE_OK && flush != s->file.full_sync) {
        code = execute(s, flush ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
        if (code != SQLITE_OK)
            return code;
        s->file.full_sync = flush;
    }
    if (code == SQLITE_OK)
        code = execute(s, "BEGIN IMMEDIATE");
    if (code == SQLITE_OK)
        code = check_files(s, sqlite_watch_begun);
    return code == SQLITE_OK ? check_guard(s) : code;
}

static int run_queue(store *s) {
    for (queued *q = s->first; q; q = q->next) {
        bind_queued(q);
        int code = statement_run(NULL, q->statement, false);
        if (code != SQLITE_OK)
            return code;
    }
    return SQLITE_OK;
}

static void free_queued(queued *q) {
    for (int i = 0; q && i < q->count; i++)
        free(q->values[i].text);
    free(q);
}

static void empty_queue(store *s) {
    while (s->first) {
        queued *q = s->first;
        s->first = q->next;
        free_queued(q);
    }
    s->last = &s->first;
    s->queue_length = 0;
    if (s->timer)
        uv_timer_stop(s->timer);
}

/* Ends the transaction that `code` tells of; the queue is kept when it failed. */
static int finish(store *s, int code) {
    if (code == SQLITE_OK)
        code = execute(s, "COMMIT");
    if (code != SQLITE_OK) {
        if (code > 0)
            scrub_format(s->detail, sizeof s->detail, "%s", sqlite3_errmsg(s->file.database));
        if (!sqlite3_get_autocommit(s->file.database))
            execute(s, "ROLLBACK");
        return code;
    }
    empty_queue(s);
    return check_files(s, sqlite_watch_committed);
}

/* Writes what later() was given without a flush. On a failure it stays queued: the next write tells. */
static int write_queue(store *s) {
    if (!s->first)
        return SQLITE_OK;
    int code = begin(s, false);
    if (code == SQLITE_OK)
        code = run_queue(s);
    return finish(s, code);
}

static void on_later(uv_timer_t *timer) {
    store *s = timer->data;
    s->patient = false;
    if (write_queue(s) == SQLITE_BUSY)
        uv_timer_start(timer, on_later, LATER_MS, 0);
}

static void start_timer(store *s) {
    if (!s->timer) {
        s->timer = malloc(sizeof *s->timer);
        if (!s->timer)
            return;
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
    if (!s->file.database)
        luaL_error(L, "the journal is closed");
    return s;
}

/* Leaves nothing of a transaction in whose middle an error was raised. */
static void abandon(store *s) {
    for (sqlite3_stmt *t = sqlite3_next_stmt(s->file.database, NULL); t;
         t = sqlite3_next_stmt(s->file.database, t))
        sqlite3_reset(t);
    if (!sqlite3_get_autocommit(s->file.database))
        execute(s, "ROLLBACK");
}

static void be_patient(store *s, bool patient) {
    s->patient = patient;
    sqlite3_busy_timeout(s->file.database, patient ? BUSY_MS : 0);
}

/* What Lua calls: the function that is the second upvalue, with the arguments given. */
static int guarded(lua_State *L) {
    store *s = self(L);
    be_patient(s, !lua_isyieldable(L));
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 1);
    if (lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0) == 0)
        return lua_gettop(L);
    abandon(s);
    return lua_isboolean(L, -1) ? 1 : lua_error(L);
}

static int parameter_count(lua_State *L) {
    int count = lua_gettop(L) - 1;
    luaL_argcheck(L, count <= MOST_PARAMETERS, MOST_PARAMETERS + 1, "too many parameters");
    return count;
}

/* Binds the `count` values above the index `sql`. */
static void bind_arguments(lua_State *L, sqlite3_stmt *statement, int sql, int count) {
    for (int i = 1; i <= count; i++) {
        value v = value_from_lua(L, sql + i);
        value_bind(statement, i, &v);
    }
}

static int write_lua(lua_State *L) {
    store *s = self(L);
    int count = parameter_count(L);
    sqlite3_stmt *statement = prepare(L, s, luaL_checkstring(L, 1));
    lua_newtable(L);
    int code = begin(s, true);
    if (code == SQLITE_OK)
        code = run_queue(s);
    if (code == SQLITE_OK) {
        bind_arguments(L, statement, 1, count);
        code = statement_run(L, statement, true);
    }
    code = finish(s, code);
    return code == SQLITE_OK ? 1 : raise_problem(L, s, code);
}

/* Runs the statement at index `sql` with the parameters above it, and leaves its rows in their place. */
static int run_given(lua_State *L, store *s, int sql) {
    sqlite3_stmt *statement = prepare(L, s, luaL_checkstring(L, sql));
    bind_arguments(L, statement, sql, lua_gettop(L) - sql);
    lua_settop(L, sql);
    lua_newtable(L);
    int code = statement_run(L, statement, true);
    lua_replace(L, sql);
    return code;
}

/* transaction({ { sql, ..., n = parameters }, ... }) -> rows of the last */
static int transaction_lua(lua_State *L) {
    store *s = self(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    int count = (int)lua_objlen(L, 1), code = begin(s, true);
    luaL_argcheck(L, count > 0, 1, "no statements");
    if (code == SQLITE_OK)
        code = run_queue(s);
    for (int i = 1; i <= count && code == SQLITE_OK; i++) {
        enum { ITEM = 2, SQL };
        lua_settop(L, 1);
        lua_rawgeti(L, 1, i);
        unpack_statement(L, ITEM);
        code = run_given(L, s, SQL);
    }
    code = finish(s, code);
    return code == SQLITE_OK ? 1 : raise_problem(L, s, code);
}

static int read_lua(lua_State *L) {
    store *s = self(L);
    int count = parameter_count(L);
    int code = write_queue(s);
    if (code == SQLITE_OK)
        code = check_files(s, sqlite_watch_before);
    if (code != SQLITE_OK)
        return raise_problem(L, s, code);
    sqlite3_stmt *statement = prepare(L, s, luaL_checkstring(L, 1));
    lua_newtable(L);
    bind_arguments(L, statement, 1, count);
    code = statement_run(L, statement, true);
    return code == SQLITE_OK ? 1 : raise_problem(L, s, code);
}

static void copy_values(lua_State *L, queued *q, int first) {
    for (int i = 0; i < q->count; i++) {
        value v = value_from_lua(L, first + i);
        if (v.type == VALUE_TEXT) {
            char *copy = malloc(v.length + 1);
            if (!copy)
                abort();
            v.text = memcpy(copy, v.text, v.length);
        }
        q->values[i] = v;
    }
}

/* The statement at index 1 with the `count` parameters from `first` on. */
static queued *queued_new(lua_State *L, store *s, int first, int count) {
    sqlite3_stmt *statement = prepare(L, s, luaL_checkstring(L, 1));
    for (int i = 0; i < count; i++)
        value_from_lua(L, first + i); /* raises for a wrong type while nothing is allocated */
    queued *q = malloc(sizeof *q + (size_t)count * sizeof *q->values);
    if (!q)
        abort();
    *q = (queued){NULL, statement, count};
    copy_values(L, q, first);
    return q;
}

/* guard(matches, written, ...): nothing here can lose a transaction's end, so the numbers are not needed. */
static int guard_lua(lua_State *L) {
    store *s = self(L);
    int count = parameter_count(L);
    queued *guard = lua_isnoneornil(L, 1) ? NULL : queued_new(L, s, 3, count - 1);
    free_queued(s->guard);
    s->guard = guard;
    return 0;
}

/* later(sql, ...) -> true when there is so much that somebody has to wait, by drain(). */
static int later_lua(lua_State *L) {
    store *s = self(L);
    queued *q = queued_new(L, s, 2, parameter_count(L));
    *s->last = q;
    s->last = &q->next;
    start_timer(s);
    if (++s->queue_length % MOST_QUEUED != 0)
        return 0;
    bool can_wait = !s->patient;
    be_patient(s, false);
    int code = write_queue(s);
    if (code != SQLITE_OK && code != SQLITE_BUSY)
        return raise_problem(L, s, code);
    lua_pushboolean(L, can_wait && s->queue_length >= MOST_UNWRITTEN);
    return 1;
}

static int drain_lua(lua_State *L) {
    store *s = self(L);
    int code = write_queue(s);
    return code == SQLITE_OK ? 0 : raise_problem(L, s, code);
}

static int read_version(store *s, int *version) {
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(s->file.database, "PRAGMA user_version", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement) == SQLITE_ROW ? SQLITE_OK : sqlite3_errcode(s->file.database);
    if (code == SQLITE_OK)
        *version = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return code;
}

static int version_lua(lua_State *L) {
    store *s = self(L);
    int version;
    int code = read_version(s, &version);
    if (code != SQLITE_OK)
        return raise_problem(L, s, code);
    lua_pushinteger(L, version);
    return 1;
}

static int migrate_lua(lua_State *L) {
    store *s = self(L);
    const char *sql = luaL_checkstring(L, 1);
    int version = (int)luaL_checkinteger(L, 2), present = 0;
    char set_version[64];
    snprintf(set_version, sizeof set_version, "PRAGMA user_version = %d", version);
    int code = begin(s, true);
    if (code == SQLITE_OK)
        code = read_version(s, &present);
    if (code == SQLITE_OK && present < version)
        code = execute(s, sql);
    if (code == SQLITE_OK && present < version)
        code = execute(s, set_version);
    code = finish(s, code);
    return code == SQLITE_OK ? 0 : raise_problem(L, s, code);
}

static void close_store(store *s) {
    if (!s->file.database)
        return;
    be_patient(s, true);
    write_queue(s);
    empty_queue(s);
    free_queued(s->guard);
    s->guard = NULL;
    handle_discard(s->timer);
    s->timer = NULL;
    sqlite_file_leave(&s->file);
}

static int close_lua(lua_State *L) {
    close_store(lua_touserdata(L, lua_upvalueindex(1)));
    return 0;
}

static int collect(lua_State *L) {
    close_store(lua_touserdata(L, 1));
    return 0;
}

/* ---- opening ---- */

static void add_functions(lua_State *L) {
    static const luaL_Reg functions[] = {{"write", write_lua},
                                         {"later", later_lua},
                                         {"read", read_lua},
                                         {"guard", guard_lua},
                                         {"version", version_lua},
                                         {"drain", drain_lua},
                                         {"migrate", migrate_lua},
                                         {"transaction", transaction_lua},
                                         {NULL, NULL}};
    lua_newtable(L);
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -3);
        lua_pushcclosure(L, f->func, 1);
        lua_pushcclosure(L, guarded, 2);
        lua_setfield(L, -2, f->name);
    }
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, close_lua, 1);
    lua_setfield(L, -2, "close");
}

static void need_file(lua_State *L, const char *path) {
    int failed = sqlite_file_make(path);
    if (!failed)
        return;
    push_problem(L, path, failed == ENOSPC ? SQLITE_FULL : SQLITE_CANTOPEN, files_reason(failed));
    lua_error(L);
}

static store *new_store(lua_State *L) {
    store *s = lua_newuserdata(L, sizeof *s);
    memset(s, 0, sizeof *s);
    s->last = &s->first;
    luaL_getmetatable(L, STORE_TYPE);
    lua_setmetatable(L, -2);
    return s;
}

/* sqlite(path) -> functions, or false while another process has the file locked. */
static int sqlite_lua(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    store *s = new_store(L);
    if (sqlite_file_take_kept(&s->file, path)) {
        add_functions(L);
        return 1;
    }
    need_file(L, path);
    bool patient = !lua_isyieldable(L);
    s->patient = patient;
    int code = sqlite_file_open(&s->file, path, patient ? BUSY_MS : 0);
    if (code == SQLITE_BUSY && !patient) {
        sqlite_file_close(&s->file);
        lua_pushboolean(L, 0);
    } else if (code != SQLITE_OK) {
        return raise_problem(L, s, code);
    } else {
        add_functions(L);
    }
    return 1;
}

void journal_keep_connection(bool on) {
    sqlite_file_keep(on);
    journal_postgres_keep(on);
}

int journal_kept_descriptors(void) {
    return sqlite_file_kept_descriptors() + journal_postgres_kept_descriptors();
}

int journal_open(lua_State *L) {
    luaL_newmetatable(L, STORE_TYPE);
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushcfunction(L, sqlite_lua);
    lua_setfield(L, -2, "sqlite");
    folder_bell_add(L);
    journal_postgres_open(L);
    lua_setfield(L, -2, "postgres");
    return 1;
}
