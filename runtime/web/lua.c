/* The HTTP server as Lua sees it: handles, and tasks that wait for requests and for clients that read; see
 * server.h. What a request looks like is request_lua.c's, what an answer may say reply.c's; handlers are up
 * to whom it serves. */
#include "base/error.h"
#include "base/secret.h"
#include "web/reply.h"
#include "web/request_lua.h"
#include "web/server.h"
#include "web/web.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <unistd.h>

#define SERVER_TYPE "hostler.http.server"
#define MOST_WAITING (64 * 1024) /* bytes of a streamed answer, before its writer waits */

typedef struct {
    wait wait;
    server *server;
    lua_Integer id; /* of a writer */
} server_wait;

/* ---- the handle ---- */

static int server_gc(lua_State *L) {
    server *s = *(server **)lua_touserdata(L, 1);
    if (s)
        server_free(s);
    return 0;
}

static server *check(lua_State *L, int index) {
    return *(server **)luaL_checkudata(L, index, SERVER_TYPE);
}

/* serve(options) -> server, port; see web.h. */
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
    if (options.certificate)
        s->rules.tls = listen_context(L, options.certificate, options.key);
    listener l = listen_open(L, &options);
    if (!server_start(s, &options, &l)) {
        listen_forget(&l);
        close(l.fd);
        return luaL_error(L, "no memory for an HTTP server");
    }
    lua_pushinteger(L, l.port);
    return 2;
}

/* renew(server, certificate, key): new connections are served with what these PEM files have now; those that
 * are there go on with what they began with. Raises "http.listen" when the files do not do: then nothing has
 * changed. */
static int renew_lua(lua_State *L) {
    if (!task_in_effect())
        return luaL_error(L, "an HTTP server's certificate outside an effect");
    server *s = check(L, 1);
    const char *certificate = luaL_checkstring(L, 2), *key = luaL_checkstring(L, 3);
    if (!s->rules.tls)
        error_raise(L, "usage", "the HTTP server has no certificate to renew: it serves without TLS");
    server_renew(s, listen_context(L, certificate, key));
    return 0;
}

/* Starts a wait in *slot; it keeps the server at index 1 alive. */
static int park(lua_State *L, wait **slot, server_wait *w, const char *what, bool now) {
    w->server = check(L, 1);
    w->wait.what = what;
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, -2);
    *slot = &w->wait;
    if (now)
        server_wake(slot);
    return wait_park(L, &w->wait);
}

static void check_free(lua_State *L, const wait *holder, const char *what) {
    if (holder)
        error_raise(L, "busy", "HTTP server busy: another task waits for %s", what);
}

/* ---- requests ---- */

static void cancel_wait(wait *w) {
    server *s = ((server_wait *)w)->server;
    wait **slot = s->taker == w ? &s->taker : &s->closer;
    *slot = NULL;
    wait_done(w);
}

static int finish_next(lua_State *L, wait *w) {
    server *s = ((server_wait *)w)->server;
    exchange *e = s->closing ? NULL : server_take(s);
    if (!e) {
        lua_pushboolean(L, !s->closing);
    } else if (!e->connection) {
        lua_pushinteger(L, e->id);
    } else {
        request_push(L, e->id, e->connection);
        server_hand_over(e);
    }
    return 1;
}

/* next(server) -> a request, or the number of one whose client hung up, or true for nothing after all, or
 * false once the server is closed. Waits. A request that was taken ends with answer, finish or drop: the last
 * one also where write or finish has raised. */
static int next_lua(lua_State *L) {
    server *s = check(L, 1);
    check_free(L, s->taker, "a request");
    server_wait *w = wait_new(L, sizeof *w, cancel_wait, finish_next);
    return park(L, &s->taker, w, "a request", s->closing || server_has_next(s));
}

static int finish_nothing(lua_State *L, wait *w) {
    (void)L, (void)w;
    return 0;
}

/* stopped(server): waits until it has been stopped. */
static int stopped_lua(lua_State *L) {
    server *s = check(L, 1);
    check_free(L, s->closer, "the HTTP server's end");
    server_wait *w = wait_new(L, sizeof *w, cancel_wait, finish_nothing);
    return park(L, &s->closer, w, "the HTTP server's end", !s->running);
}

/* close(server): no new connections and requests from now on. */
static int close_lua(lua_State *L) {
    server_close_port(check(L, 1));
    return 0;
}

/* drain(server): no new connections from now on; the requests of those that are there are still taken and
 * answered. The server is closed when the last one is. */
static int drain_lua(lua_State *L) {
    server_drain(check(L, 1));
    return 0;
}

/* stop(server): ends every connection. */
static int stop_lua(lua_State *L) {
    server_stop(check(L, 1));
    return 0;
}

/* ---- answers ---- */

/* The exchange of the number at index 2, whose answer has not begun. NULL when its client has left: then it
 * is over. */
static exchange *unanswered(lua_State *L) {
    if (!task_in_effect())
        luaL_error(L, "an HTTP answer outside an effect");
    exchange *e = server_find(check(L, 1), luaL_checkinteger(L, 2));
    if (e && e->state == STREAMING)
        luaL_error(L, "a second answer to an HTTP request");
    if (!e || e->connection)
        return e;
    server_end(e);
    return NULL;
}

/* answer(server, id, {status, headers, body | json, cut}) -> true, or nothing when the client has gone. */
static int answer_lua(lua_State *L) {
    lua_settop(L, 3);
    exchange *e = unanswered(L);
    if (!e)
        return 0;
    connection *c = e->connection;
    reply r = reply_check(L, 3);
    server_end(e);
    reply_queue(L, &r, c);
    connection_finish(c, r.cut < r.length);
    lua_pushboolean(L, 1);
    return 1;
}

/* begin(server, id, status, headers) -> true, or nothing when the client has gone: an answer whose body
 * follows in parts. Headers are a list of {name, value}. */
static int begin_lua(lua_State *L) {
    lua_settop(L, 4);
    exchange *e = unanswered(L);
    if (!e)
        return 0;
    reply r = reply_check_streamed(L, 3, 4);
    e->state = STREAMING;
    e->has_body = reply_queue(L, &r, e->connection);
    connection_send(e->connection, "", 0);
    lua_pushboolean(L, 1);
    return 1;
}

/* The exchange of the number at index 2, whose answer has begun; raises when its client has left. */
static exchange *streaming(lua_State *L, server *s, lua_Integer id) {
    exchange *e = server_find(s, id);
    if (!e || e->state != STREAMING)
        luaL_error(L, "no answer to this HTTP request has begun");
    if (!e->connection)
        error_raise(L, "http.gone", "the client closed the connection before it had the whole answer");
    return e;
}

static void cancel_write(wait *w) {
    server_wait *writer = (server_wait *)w;
    exchange *e = server_find(writer->server, writer->id);
    if (e && e->writer == w)
        e->writer = NULL;
    wait_done(w);
}

static int finish_write(lua_State *L, wait *w) {
    const server_wait *writer = (server_wait *)w;
    streaming(L, writer->server, writer->id);
    return 0;
}

/* write(server, id, text): a part of an answer that has begun; the effect is that of begin. Waits while the
 * client does not read. Raises "http.gone". */
static int write_lua(lua_State *L) {
    server *s = check(L, 1);
    lua_Integer id = luaL_checkinteger(L, 2);
    size_t length;
    const char *text = secret_tolstring(L, 3, &length);
    exchange *e = streaming(L, s, id);
    check_free(L, e->writer, "the client to read");
    server_wait *w = wait_new(L, sizeof *w, cancel_write, finish_write);
    w->id = id;
    connection *c = e->connection;
    if (length > 0 && e->has_body)
        reply_send_part(c, text, length);
    return park(L, &e->writer, w, "a client to read", connection_waiting(c) <= MOST_WAITING);
}

/* finish(server, id): the end of an answer that has begun. Raises "http.gone". */
static int finish_lua(lua_State *L) {
    exchange *e = streaming(L, check(L, 1), luaL_checkinteger(L, 2));
    connection *c = e->connection;
    bool has_body = e->has_body;
    server_end(e);
    if (has_body)
        reply_queue_end(c);
    connection_finish(c, false);
    return 0;
}

/* drop(server, id): closes the connection of a request whose answer is not complete; nothing when it is. */
static int drop_lua(lua_State *L) {
    exchange *e = server_find(check(L, 1), luaL_checkinteger(L, 2));
    if (!e)
        return 0;
    connection *c = e->connection;
    server_end(e);
    if (c)
        connection_close(c);
    return 0;
}

/* ---- how it is ---- */

static void add_count(lua_State *L, const char *name, size_t count) {
    lua_pushnumber(L, (lua_Number)count);
    lua_setfield(L, -2, name);
}

/* status(server) -> { connections, most, requests, refused, evicted, turned_away, held, memory, crowded_out
 * }: how many there are, and may be; requests that came, and that were none; connections given up for others,
 * and refused for their address; bytes held for clients, and most; requests and answers that gave way for
 * that. */
static int status_lua(lua_State *L) {
    const server *s = check(L, 1);
    lua_createtable(L, 0, 9);
    add_count(L, "connections", s->rules.places.count);
    add_count(L, "most", s->rules.places.most);
    add_count(L, "requests", (size_t)s->last_id);
    add_count(L, "refused", s->rules.refused);
    add_count(L, "evicted", s->evicted);
    add_count(L, "turned_away", s->turned_away);
    add_count(L, "held", s->rules.budget.held);
    add_count(L, "memory", s->rules.budget.most);
    add_count(L, "crowded_out", s->rules.crowded);
    return 1;
}

int web_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"serve", serve_lua},   {"renew", renew_lua}, {"close", close_lua},
                                         {"drain", drain_lua},   {"stop", stop_lua},   {"drop", drop_lua},
                                         {"answer", answer_lua}, {"begin", begin_lua}, {"finish", finish_lua},
                                         {"status", status_lua}, {NULL, NULL}};
    static const luaL_Reg waiting[] = {
        {"next", next_lua}, {"stopped", stopped_lua}, {"write", write_lua}, {NULL, NULL}};
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
