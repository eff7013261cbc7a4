/* Connecting without a blocking call: the name is resolved by libuv's threads, the rest is PQconnectPoll on
 * the loop. */
#define _GNU_SOURCE /* memfd_create */
#include "postgres.h"

#include "error.h"
#include "secret.h"

#include <lauxlib.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MOST_KEYWORDS 64
#define MOST_ADDRESSES 8
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
    const char *shown = secret_shown(L, 1, NULL);
    return shown && push_keywords(L, shown, false) ? 1 : 0;
}

/* ---- connecting ---- */

typedef struct resolution resolution;

typedef struct {
    wait wait;
    pg_connection *connection;
    resolution *resolving; /* NULL when no name is being resolved */
    int ca_file;           /* a file in memory with the CA's certificates, or -1 */
    double seconds;
    int count;
    const char *keywords[MOST_KEYWORDS + 4],
        *values[MOST_KEYWORDS + 4]; /* texts belong to the wait's environment */
    char ca_path[32];
    char hosts[MOST_ADDRESSES * (LONGEST_HOST + 1)];
    char addresses[MOST_ADDRESSES * (INET6_ADDRSTRLEN + 1)];
    char problem[1024]; /* why it failed; empty on success */
} connecting;

/* It lives on its own: a thread may still be busy with it after the task was cancelled. */
struct resolution {
    uv_getaddrinfo_t request;
    connecting *asker; /* NULL once nobody waits for the answer */
};

static void end(connecting *k, const char *problem) {
    pg_connection *c = k->connection;
    pg_unwatch(c);
    pg_stop_timer(c);
    if (k->ca_file >= 0)
        close(k->ca_file);
    k->ca_file = -1;
    if (k->resolving) {
        k->resolving->asker = NULL;
        uv_cancel((uv_req_t *)&k->resolving->request);
        k->resolving = NULL;
    }
    if (problem) {
        snprintf(k->problem, sizeof k->problem, "%s", problem);
        pg_lose(c, problem);
    }
    c->operation = NULL;
    wait_done(&k->wait);
}

static void cancel_connecting(wait *w) {
    end((connecting *)w, "cancelled");
}

static void on_too_late(uv_timer_t *timer) {
    connecting *k = (connecting *)((pg_connection *)timer->data)->operation;
    char problem[64];
    snprintf(problem, sizeof problem, "no answer within %g seconds", k->seconds);
    end(k, problem);
}

static void go_on(connecting *k);

static void on_socket_ready(uv_poll_t *poll, int status, int events) {
    (void)status, (void)events; /* an error on the socket is told by PQconnectPoll, in better words */
    go_on((connecting *)((pg_connection *)poll->data)->operation);
}

static void watch(connecting *k, int events) {
    int problem = pg_watch(k->connection, events, on_socket_ready);
    if (problem)
        end(k, uv_strerror(problem));
}

/* libpq may go on with the next address, on another socket, so each turn watches anew. */
static void go_on(connecting *k) {
    pg_connection *c = k->connection;
    pg_unwatch(c);
    switch (PQconnectPoll(c->link)) {
    case PGRES_POLLING_READING:
        watch(k, UV_READABLE);
        return;
    case PGRES_POLLING_WRITING:
        watch(k, UV_WRITABLE);
        return;
    case PGRES_POLLING_OK:
        PQsetnonblocking(c->link, 1);
        end(k, NULL);
        return;
    default:
        end(k, PQerrorMessage(c->link));
    }
}

static void add(connecting *k, const char *keyword, const char *value) {
    k->keywords[k->count] = keyword;
    k->values[k->count++] = value;
}

static const char *value_of(const connecting *k, const char *keyword) {
    for (int i = 0; i < k->count; i++)
        if (strcmp(k->keywords[i], keyword) == 0)
            return k->values[i];
    return NULL;
}

static void start(connecting *k) {
    pg_connection *c = k->connection;
    c->link = PQconnectStartParams(k->keywords, k->values, 0);
    if (!c->link) {
        end(k, "out of memory");
        return;
    }
    PQsetNoticeReceiver(c->link, take_notice, c);
    if (PQstatus(c->link) == CONNECTION_BAD)
        end(k, PQerrorMessage(c->link));
    else
        watch(k, UV_WRITABLE);
}

/* Gives libpq every address, with the name beside each, since the name is what the certificate is checked
 * against. */
static void list_addresses(connecting *k, const struct addrinfo *answer) {
    const char *host = value_of(k, "host");
    size_t hosts = 0, addresses = 0;
    int count = 0;
    for (const struct addrinfo *a = answer; a && count < MOST_ADDRESSES; a = a->ai_next) {
        char text[INET6_ADDRSTRLEN];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) != 0)
            continue;
        const char *comma = count++ > 0 ? "," : "";
        hosts += (size_t)snprintf(k->hosts + hosts, sizeof k->hosts - hosts, "%s%s", comma, host);
        addresses +=
            (size_t)snprintf(k->addresses + addresses, sizeof k->addresses - addresses, "%s%s", comma, text);
    }
    for (int i = 0; i < k->count; i++)
        if (strcmp(k->keywords[i], "host") == 0)
            k->values[i] = k->hosts;
    add(k, "hostaddr", k->addresses);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *answer) {
    resolution *r = (resolution *)request;
    connecting *k = r->asker;
    free(r);
    if (k)
        k->resolving = NULL;
    if (k && status == 0) {
        list_addresses(k, answer);
        start(k);
    } else if (k) {
        char problem[128];
        snprintf(problem, sizeof problem, "the host name cannot be resolved: %s", uv_strerror(status));
        end(k, problem);
    }
    uv_freeaddrinfo(answer);
}

static void resolve(connecting *k, const char *host) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    resolution *r = calloc(1, sizeof *r);
    int problem = r ? uv_getaddrinfo(task_loop(), &r->request, on_resolved, host, NULL, &hints) : UV_ENOMEM;
    if (problem) {
        free(r);
        end(k, uv_strerror(problem));
        return;
    }
    r->asker = k;
    k->resolving = r;
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
        if (k->count >= MOST_KEYWORDS)
            error_raise(L, "usage", "too many connection settings");
        if (strlen(value) != length)
            error_raise(L, "usage", "the connection setting '%s' contains a NUL byte", keyword);
        add(k, keyword, value);
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
    add(k, "sslrootcert", k->ca_path);
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
    k->seconds = seconds;
    lua_newtable(L); /* the environment: keeps alive what the wait points to */
    k->connection = pg_push_handle(L, name);
    lua_setfield(L, -2, "handle");
    take_keywords(L, k, KEYWORDS);
    const char *host = value_of(k, "host");
    if (host && (strlen(host) > LONGEST_HOST || strchr(host, ',')))
        return error_raise(L, "usage", "connect takes one host name: '%s'", host);
    take_ca(L, k, CA); /* the last that may raise: from here on `end` closes the file */
    lua_setfenv(L, WAIT);
    k->connection->operation = &k->wait;
    snprintf(k->connection->doing, sizeof k->connection->doing, "connecting");
    pg_start_timer(k->connection, seconds, on_too_late);
    if (host && host[0] != '/' && host[0] != '@' && host[0] && !value_of(k, "hostaddr"))
        resolve(k, host);
    else
        start(k);
    return wait_park(L, &k->wait);
}
