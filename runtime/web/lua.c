/* The HTTP server as Lua sees it: handles, tasks that wait for requests, and the shapes of requests; see
 * server.h. Handlers and the shapes of answers are up to whom it serves. */
#include "base/error.h"
#include "web/reply.h"
#include "web/server.h"
#include "web/web.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <unistd.h>

#define SERVER_TYPE "hostler.http.server"

typedef struct {
    wait wait;
    server *server;
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
    int number, port = listen_open(L, &options, &number);
    if (!server_start(s, &options, port)) {
        close(port);
        error_push(L, "http.listen", "the HTTP server cannot start");
        error_set(L, "hint",
                  options.certificate ? "the certificate and the key must be PEM, and belong together"
                                      : NULL);
        return lua_error(L);
    }
    lua_pushinteger(L, number);
    return 2;
}

/* ---- requests ---- */

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
    w->server = check(L, 1);
    w->wait.what = what;
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, -2);
    *place = &w->wait;
    if (now)
        server_wake(place);
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

static int finish_next(lua_State *L, wait *w) {
    server *s = ((server_wait *)w)->server;
    exchange *e = s->closing ? NULL : server_next(s);
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
    server *s = check(L, 1);
    return park(L, &s->taker, "a request", s->closing || server_next(s), finish_next);
}

static int finish_nothing(lua_State *L, wait *w) {
    (void)L, (void)w;
    return 0;
}

/* stopped(server): waits until it has been stopped. */
static int stopped_lua(lua_State *L) {
    server *s = check(L, 1);
    return park(L, &s->closer, "the HTTP server's end", !s->daemon, finish_nothing);
}

/* close(server): no new connections and requests from now on. */
static int close_lua(lua_State *L) {
    server_close_port(check(L, 1));
    return 0;
}

/* stop(server): ends every connection. */
static int stop_lua(lua_State *L) {
    server_stop(check(L, 1));
    return 0;
}

/* ---- answers ---- */

/* answer(server, id, {status, headers, body | json, cut}) -> true, or nothing when the client has gone. */
static int answer_lua(lua_State *L) {
    if (!task_in_effect())
        return luaL_error(L, "an HTTP answer outside an effect");
    exchange *e = server_find(check(L, 1), luaL_checkinteger(L, 2));
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    if (!e)
        return 0;
    reply_build(L, 3, &e->response, &e->status);
    exchange_resume(e, ANSWERED);
    lua_pushboolean(L, 1);
    return 1;
}

/* drop(server, id): closes the connection of a request without an answer, if it is still there. */
static int drop_lua(lua_State *L) {
    exchange *e = server_find(check(L, 1), luaL_checkinteger(L, 2));
    if (e)
        exchange_resume(e, DROPPED);
    return 0;
}

int web_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"serve", serve_lua}, {"close", close_lua},   {"stop", stop_lua},
                                         {"drop", drop_lua},   {"answer", answer_lua}, {NULL, NULL}};
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
