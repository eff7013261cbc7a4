/* The HTTP server: libmicrohttpd on the loop, requests as values that a Lua task takes one by one.
 *
 * libmicrohttpd runs in its external mode: libuv watches its epoll descriptor. A complete request suspends
 * its connection until the answer comes; meanwhile the connection is watched here, for libmicrohttpd does not
 * notice then that a client goes away. Tasks, handlers and the shapes of answers are http.lua's; sockets and
 * replies are in listen.c and reply.c. */
#include "http/server.h"

#include "base/error.h"
#include "task/handle.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SERVER_TYPE "hostler.http.server"
#define MOST_CONNECTIONS 1000
#define MOST_DISCARDED \
    (64 * 1024 * 1024) /* bytes read of a body that is too large, so that its refusal arrives */
#define ROUNDS 16
#define CONNECTION_MEMORY (64 * 1024) /* bounds a request's line and headers */

typedef struct {
    wait wait;
    server *server;
} server_wait;

static void wake(wait **waiting) {
    if (*waiting)
        wait_done(*waiting);
    *waiting = NULL;
}

/* ---- libmicrohttpd on the loop ---- */

static void run_daemon(server *s);

static void on_readiness(uv_poll_t *poll, int status, int events) {
    (void)status, (void)events;
    run_daemon(poll->data);
}

static void on_timer(uv_timer_t *timer) {
    run_daemon(timer->data);
}

/* While libmicrohttpd has more to do it asks to be run again at once. During a TLS handshake it asks so
 * without pause, and would starve the loop; so after some rounds it waits for a millisecond. */
static void run_daemon(server *s) {
    MHD_UNSIGNED_LONG_LONG milliseconds = 0;
    bool more = true;
    for (int round = 0; round < ROUNDS && more && milliseconds == 0; round++) {
        MHD_run(s->daemon);
        more = MHD_get_timeout(s->daemon, &milliseconds) == MHD_YES;
    }
    if (more)
        uv_timer_start(&s->timer, on_timer, milliseconds > 0 ? milliseconds : 1, 0);
    else
        uv_timer_stop(&s->timer);
}

static void free_if_unused(server *s) {
    if (s->collected && s->open_handles == 0)
        free(s);
}

static void on_closed(uv_handle_t *handle) {
    server *s = handle->data;
    s->open_handles--;
    free_if_unused(s);
}

/* ---- exchanges ---- */

static void unwatch(exchange *e) {
    handle_discard(e->watch);
    e->watch = NULL;
}

/* Lets libmicrohttpd go on with the connection, on the loop's next turn; it then asks on_request what to do.
 */
void exchange_resume(exchange *e, exchange_state state) {
    e->state = state;
    unwatch(e);
    MHD_resume_connection(e->connection);
    uv_timer_start(&e->server->timer, on_timer, 0, 0);
}

static void on_hang_up(uv_poll_t *poll, int status, int events) {
    (void)status, (void)events;
    exchange *e = poll->data;
    unwatch(e);
    e->gone = true;
    if (e->state == WAITING)
        exchange_resume(e, DROPPED);
    else
        wake(&e->server->taker);
}

/* Without a watch the request is still answered; only an early hang-up goes unnoticed. */
static void watch(exchange *e) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(e->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    uv_poll_t *poll = info ? malloc(sizeof *poll) : NULL;
    if (!poll || uv_poll_init_socket(task_loop(), poll, info->connect_fd)) {
        free(poll);
        return;
    }
    poll->data = e;
    e->watch = poll;
    uv_poll_start(poll, UV_DISCONNECT, on_hang_up);
}

static void exchange_free(exchange *e) {
    unwatch(e);
    if (e->response)
        MHD_destroy_response(e->response);
    free(e->method);
    free(e->path);
    free(e->body);
    free(e);
}

static exchange *exchange_new(server *s, struct MHD_Connection *connection, const char *path,
                              const char *method) {
    exchange *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->server = s;
    e->connection = connection;
    e->path = strdup(path);
    e->method = strdup(method);
    if (!e->path || !e->method) {
        exchange_free(e);
        return NULL;
    }
    e->id = ++s->last_id;
    exchange **link = &s->first;
    while (*link)
        link = &(*link)->next;
    *link = e;
    return e;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode how) {
    (void)connection, (void)how;
    server *s = context;
    exchange *e = *slot;
    for (exchange **link = &s->first; e && *link; link = &(*link)->next) {
        if (*link != e)
            continue;
        *link = e->next;
        exchange_free(e);
        break;
    }
    *slot = NULL;
}

static enum MHD_Result refuse_large(struct MHD_Connection *connection) {
    static char text[] = "the request's body is too large\n";
    struct MHD_Response *response =
        MHD_create_response_from_buffer(sizeof text - 1, text, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", "text/plain");
    MHD_add_response_header(response, "Connection", "close");
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_CONTENT_TOO_LARGE, response);
    MHD_destroy_response(response);
    return result;
}

/* Keeps the body up to the limit. What is beyond it is read and thrown away: a client that is still sending
 * would not see the refusal. */
static enum MHD_Result keep_upload(exchange *e, const char *data, size_t length) {
    if (e->too_large || length > e->server->limit - e->length) {
        e->too_large = true;
        e->discarded += length;
        return e->discarded > MOST_DISCARDED ? MHD_NO : MHD_YES;
    }
    if (e->room - e->length < length) {
        size_t room = e->room * 2 + length;
        char *larger = realloc(e->body, room);
        if (!larger)
            return MHD_NO;
        e->body = larger;
        e->room = room;
    }
    memcpy(e->body + e->length, data, length);
    e->length += length;
    return MHD_YES;
}

/* libmicrohttpd calls this when the head is complete, for each part of the body, at its end, and after each
 * resume. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data, size_t *length,
                                  void **slot) {
    (void)version;
    server *s = context;
    exchange *e = *slot;
    if (!e) {
        *slot = s->closing ? NULL : exchange_new(s, connection, path, method);
        return *slot ? MHD_YES : MHD_NO;
    }
    if (*length > 0) {
        size_t count = *length;
        *length = 0;
        return keep_upload(e, data, count);
    }
    switch (e->state) {
    case READING:
        if (e->too_large)
            return refuse_large(connection);
        e->state = WAITING;
        MHD_suspend_connection(connection);
        watch(e);
        wake(&s->taker);
        return MHD_YES;
    case ANSWERED:
        return MHD_queue_response(connection, e->status, e->response);
    case DROPPED:
        return MHD_NO;
    default:
        return MHD_YES;
    }
}

/* ---- the end of a server ---- */

/* Stops listening; connections live on. */
static void close_port(server *s) {
    if (s->closing)
        return;
    s->closing = true;
    MHD_socket port = MHD_quiesce_daemon(s->daemon);
    if (port != MHD_INVALID_SOCKET)
        close(port);
    wake(&s->taker);
}

static void stop(server *s) {
    if (!s->daemon)
        return;
    close_port(s);
    for (exchange *e = s->first; e; e = e->next)
        if (e->state == WAITING || e->state == TAKEN)
            exchange_resume(e, DROPPED);
    uv_close((uv_handle_t *)&s->poll, on_closed);
    uv_close((uv_handle_t *)&s->timer, on_closed);
    MHD_stop_daemon(s->daemon);
    s->daemon = NULL;
    wake(&s->closer);
}

static int server_gc(lua_State *L) {
    server *s = *(server **)lua_touserdata(L, 1);
    if (!s)
        return 0;
    stop(s);
    s->collected = true;
    free_if_unused(s);
    return 0;
}

/* ---- the Lua side ---- */

server *server_check(lua_State *L, int index) {
    return *(server **)luaL_checkudata(L, index, SERVER_TYPE);
}

static struct MHD_Daemon *start_daemon(server *s, const listen_options *options, int port) {
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)options->certificate},
                                   {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)options->key},
                                   {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (options->certificate ? MHD_USE_TLS : 0);
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, port,
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_CONNECTION_LIMIT,
                            MOST_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
                            MHD_OPTION_CONNECTION_TIMEOUT, options->timeout,
                            MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY,
                            options->certificate ? tls : none, MHD_OPTION_END);
}

static void watch_daemon(server *s) {
    int epoll = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    uv_poll_init(task_loop(), &s->poll, epoll);
    uv_timer_init(task_loop(), &s->timer);
    s->poll.data = s->timer.data = s;
    s->open_handles = 2;
    uv_poll_start(&s->poll, UV_READABLE, on_readiness);
}

/* serve{address, port, certificate, key, limit, timeout} -> server, port. Files in PEM; bytes; seconds. */
static int serve_lua(lua_State *L) {
    if (!task_in_effect())
        return luaL_error(L, "an HTTP server outside an effect");
    listen_options options = listen_check(L, 1);
    server **slot = lua_newuserdata(L, sizeof *slot);
    *slot = NULL;
    luaL_getmetatable(L, SERVER_TYPE);
    lua_setmetatable(L, -2);
    server *s = *slot = calloc(1, sizeof *s);
    if (!s)
        return luaL_error(L, "out of memory");
    s->limit = options.limit;
    int number, port = listen_open(L, &options, &number);
    s->daemon = start_daemon(s, &options, port);
    if (!s->daemon) {
        close(port);
        error_push(L, "http.listen", "the HTTP server cannot start");
        error_set(L, "hint",
                  options.certificate ? "the certificate and the key must be PEM, and belong together"
                                      : NULL);
        return lua_error(L);
    }
    watch_daemon(s);
    lua_pushinteger(L, number);
    return 2;
}

static void cancel_wait(wait *w) {
    server *s = ((server_wait *)w)->server;
    wait **place = s->taker == w ? &s->taker : &s->closer;
    *place = NULL;
    wait_done(w);
}

/* Starts a wait in *place; it keeps the server at index 1 alive. */
static int park(lua_State *L, wait **place, const char *what, bool now, int (*finish)(lua_State *, wait *)) {
    if (*place)
        return error_raise(L, "busy", "HTTP server busy: another task waits for %s", what);
    server_wait *w = wait_new(L, sizeof *w, cancel_wait, finish);
    w->server = server_check(L, 1);
    w->wait.what = what;
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, -2);
    *place = &w->wait;
    if (now)
        wake(place);
    return wait_park(L, &w->wait);
}

/* Pushes name -> value of the request's headers (names in lower case) or query arguments. */
static enum MHD_Result add_value(void *context, enum MHD_ValueKind kind, const char *name,
                                 const char *value) {
    lua_State *L = context;
    luaL_Buffer key;
    luaL_buffinit(L, &key);
    for (const char *c = name; *c; c++)
        luaL_addchar(&key, kind == MHD_HEADER_KIND ? (char)tolower((unsigned char)*c) : *c);
    luaL_pushresult(&key);
    lua_pushstring(L, value ? value : "");
    lua_rawset(L, -3);
    return MHD_YES;
}

static void push_remote(lua_State *L, const exchange *e) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(e->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char text[INET6_ADDRSTRLEN] = "";
    if (info && info->client_addr->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)info->client_addr)->sin_addr, text, sizeof text);
    else if (info && info->client_addr->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)info->client_addr)->sin6_addr, text, sizeof text);
    lua_pushstring(L, text);
}

static int push_request(lua_State *L, const exchange *e) {
    lua_createtable(L, 0, 8);
    lua_pushinteger(L, e->id);
    lua_setfield(L, -2, "id");
    lua_pushstring(L, e->method);
    lua_setfield(L, -2, "method");
    lua_pushstring(L, e->path);
    lua_setfield(L, -2, "path");
    lua_pushlstring(L, e->body ? e->body : "", e->length);
    lua_setfield(L, -2, "body");
    push_remote(L, e);
    lua_setfield(L, -2, "remote");
    lua_newtable(L);
    MHD_get_connection_values(e->connection, MHD_HEADER_KIND, add_value, L);
    lua_setfield(L, -2, "headers");
    lua_newtable(L);
    MHD_get_connection_values(e->connection, MHD_GET_ARGUMENT_KIND, add_value, L);
    lua_setfield(L, -2, "query");
    return 1;
}

static exchange *next_event(server *s) {
    for (exchange *e = s->first; e; e = e->next)
        if (e->state == WAITING || (e->state == TAKEN && e->gone && !e->gone_told))
            return e;
    return NULL;
}

static int finish_next(lua_State *L, wait *w) {
    server *s = ((server_wait *)w)->server;
    exchange *e = s->closing ? NULL : next_event(s);
    if (!e) {
        lua_pushboolean(L, !s->closing);
        return 1;
    }
    if (e->state == WAITING) {
        e->state = TAKEN;
        return push_request(L, e);
    }
    e->gone_told = true;
    lua_pushinteger(L, e->id);
    return 1;
}

/* next(server) -> a request, or the number of one whose client hung up, or true for nothing after all, or
 * false once the server is closed. Waits. */
static int next_lua(lua_State *L) {
    server *s = server_check(L, 1);
    return park(L, &s->taker, "a request", s->closing || next_event(s), finish_next);
}

static int finish_nothing(lua_State *L, wait *w) {
    (void)L, (void)w;
    return 0;
}

/* stopped(server): waits until it has been stopped. */
static int stopped_lua(lua_State *L) {
    server *s = server_check(L, 1);
    return park(L, &s->closer, "the HTTP server's end", !s->daemon, finish_nothing);
}

/* close(server): no new connections and requests from now on. */
static int close_lua(lua_State *L) {
    server *s = server_check(L, 1);
    if (s->daemon)
        close_port(s);
    return 0;
}

/* stop(server): ends every connection. */
static int stop_lua(lua_State *L) {
    stop(server_check(L, 1));
    return 0;
}

exchange *server_find(server *s, lua_Integer id) {
    for (exchange *e = s->first; e; e = e->next)
        if (e->id == id && e->state == TAKEN)
            return e;
    return NULL;
}

/* drop(server, id): closes the connection of a request without an answer, if it is still there. */
static int drop_lua(lua_State *L) {
    exchange *e = server_find(server_check(L, 1), luaL_checkinteger(L, 2));
    if (e)
        exchange_resume(e, DROPPED);
    return 0;
}

int http_server_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"serve", serve_lua},        {"close", close_lua},
                                         {"stop", stop_lua},          {"drop", drop_lua},
                                         {"answer", http_answer_lua}, {NULL, NULL}};
    static const luaL_Reg waiting[] = {{"next", next_lua}, {"stopped", stopped_lua}, {NULL, NULL}};
    if (luaL_newmetatable(L, SERVER_TYPE)) {
        lua_pushcfunction(L, server_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    task_register(L, waiting);
    return 1;
}
