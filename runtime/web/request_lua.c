/* A request as Lua sees it; see request_lua.h. */
#define _GNU_SOURCE /* ucred */
#include "web/request_lua.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <lauxlib.h>
#include <string.h>

static void push_span(lua_State *L, const request *r, head_span part) {
    lua_pushlstring(L, r->text + part.start, part.length);
}

/* ---- percent-encoding ---- */

static int digit_of(char c) {
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* The byte that is encoded here, or -1. */
static int encoded(const char *text, size_t left) {
    if (*text != '%' || left < 3 || !isxdigit((unsigned char)text[1]) || !isxdigit((unsigned char)text[2]))
        return -1;
    return digit_of(text[1]) * 16 + digit_of(text[2]);
}

/* In a query a plus is a space, and a percent sign that encodes nothing is one. */
static void push_decoded(lua_State *L, const char *text, size_t length, bool in_query) {
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    for (size_t i = 0; i < length; i++) {
        int byte = encoded(text + i, length - i);
        luaL_addchar(&out, (char)(byte >= 0 ? byte : in_query && text[i] == '+' ? ' ' : text[i]));
        i += byte >= 0 ? 2 : 0;
    }
    luaL_pushresult(&out);
}

static void push_query(lua_State *L, const char *text, size_t length) {
    lua_newtable(L);
    const char *end = text + length;
    while (text < end) {
        const char *stop = memchr(text, '&', (size_t)(end - text));
        stop = stop ? stop : end;
        const char *equals = memchr(text, '=', (size_t)(stop - text));
        const char *name_end = equals ? equals : stop;
        push_decoded(L, text, (size_t)(name_end - text), true);
        push_decoded(L, equals ? equals + 1 : stop, equals ? (size_t)(stop - equals - 1) : 0, true);
        if (stop > text)
            lua_rawset(L, -3);
        else
            lua_pop(L, 2);
        text = stop + 1;
    }
}

/* ---- header fields ---- */

static void push_lower(lua_State *L, const request *r, head_span name) {
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    for (unsigned i = 0; i < name.length; i++)
        luaL_addchar(&out, (char)tolower((unsigned char)r->text[name.start + i]));
    luaL_pushresult(&out);
}

/* Adds one to the table on top of the stack. */
static void add_header(lua_State *L, const request *r, const head_field *field) {
    push_lower(L, r, field->name);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        push_span(L, r, field->value);
    } else {
        lua_pushstring(L, head_span_is(r->text, field->name, "cookie") ? "; " : ", ");
        push_span(L, r, field->value);
        lua_concat(L, 3);
    }
    lua_rawset(L, -3);
}

/* The target's own host counts before the field (RFC 9112, 3.2.2). */
static void push_headers(lua_State *L, const request *r) {
    lua_createtable(L, 0, (int)r->head.count);
    for (unsigned i = 0; i < r->head.count; i++)
        add_header(L, r, &r->head.fields[i]);
    if (r->framing.authority.length > 0) {
        push_span(L, r, r->framing.authority);
        lua_setfield(L, -2, "host");
    }
}

static void push_fields(lua_State *L, const request *r) {
    lua_createtable(L, (int)r->head.count, 0);
    for (unsigned i = 0; i < r->head.count; i++) {
        lua_createtable(L, 2, 0);
        push_span(L, r, r->head.fields[i].name);
        lua_rawseti(L, -2, 1);
        push_span(L, r, r->head.fields[i].value);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/* ---- the client ---- */

static void add_integer(lua_State *L, const char *name, lua_Integer value) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

static void add_peer(lua_State *L, int fd) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
        return;
    lua_createtable(L, 0, 3);
    add_integer(L, "uid", (lua_Integer)peer.uid);
    add_integer(L, "gid", (lua_Integer)peer.gid);
    add_integer(L, "pid", (lua_Integer)peer.pid);
    lua_setfield(L, -2, "peer");
}

/* An IPv4 client of a socket for both is told by its own address. */
static void add_client(lua_State *L, const connection *c) {
    char text[INET6_ADDRSTRLEN] = "";
    const connection_address *remote = &c->remote;
    if (remote->any.sa_family == AF_INET)
        inet_ntop(AF_INET, &remote->v4.sin_addr, text, sizeof text);
    else if (remote->any.sa_family != AF_INET6)
        add_peer(L, c->wire.fd);
    else if (IN6_IS_ADDR_V4MAPPED(&remote->v6.sin6_addr))
        inet_ntop(AF_INET, remote->v6.sin6_addr.s6_addr + 12, text, sizeof text);
    else
        inet_ntop(AF_INET6, &remote->v6.sin6_addr, text, sizeof text);
    if (*text) {
        lua_pushstring(L, text);
        lua_setfield(L, -2, "remote");
    }
}

void request_push(lua_State *L, lua_Integer id, const connection *c) {
    const request *r = &c->request;
    const head_span path = r->framing.path, query = r->framing.query;
    lua_createtable(L, 0, 10);
    add_integer(L, "id", id);
    push_span(L, r, r->head.method);
    lua_setfield(L, -2, "method");
    push_span(L, r, r->head.target);
    lua_setfield(L, -2, "target");
    push_decoded(L, path.length ? r->text + path.start : "/", path.length ? path.length : 1, false);
    lua_setfield(L, -2, "path");
    push_query(L, r->text + query.start, query.length);
    lua_setfield(L, -2, "query");
    push_headers(L, r);
    lua_setfield(L, -2, "headers");
    push_fields(L, r);
    lua_setfield(L, -2, "fields");
    lua_pushlstring(L, r->body.text ? r->body.text : "", r->body.length);
    lua_setfield(L, -2, "body");
    if (r->status) {
        lua_pushboolean(L, true);
        lua_setfield(L, -2, "too_large");
    }
    add_client(L, c);
}
