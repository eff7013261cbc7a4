/* The answer to a request: from a table to bytes; see reply.h. What may raise is done before what takes
 * memory.
 */
#include "web/reply.h"

#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"
#include "web/status.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- what a table says ---- */

/* Leaves the text of field `json` or `body` of the table on the stack. */
static const char *push_body(lua_State *L, int index, size_t *length) {
    lua_getfield(L, index, "json");
    if (lua_isnil(L, -1)) {
        lua_getfield(L, index, "body");
        if (lua_isnil(L, -1))
            lua_pushliteral(L, "");
        return secret_tolstring(L, -1, length);
    }
    json_push_text(L, lua_gettop(L), JSON_REVEAL, false);
    return lua_tolstring(L, -1, length);
}

static bool is_name(const char *name) {
    const char *c = name;
    while (head_is_token((unsigned char)*c))
        c++;
    return *name && !*c;
}

static bool is_value(const char *value, size_t length) {
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)value[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* Where an answer ends is the server's to say. */
static void check_header(lua_State *L, reply *r, const char *name, const char *value, size_t length) {
    if (!is_name(name) || !is_value(value, length))
        error_raise(L, "usage", "the HTTP header %s has a name or value that cannot be sent", name);
    bool is_connection = strcasecmp(name, "connection") == 0, closes = strcasecmp(value, "close") == 0;
    if (strcasecmp(name, "content-length") == 0 || strcasecmp(name, "transfer-encoding") == 0 ||
        (is_connection && !closes))
        error_raise(L, "usage", "the HTTP header %s is the server's to set", name);
    r->closes = r->closes || is_connection;
}

static void check_headers(lua_State *L, reply *r) {
    luaL_checktype(L, r->headers, LUA_TTABLE);
    int top = lua_gettop(L);
    for (int i = 1, count = (int)lua_objlen(L, r->headers); i <= count; i++) {
        size_t length;
        lua_rawgeti(L, r->headers, i);
        luaL_checktype(L, -1, LUA_TTABLE);
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        const char *name = luaL_checkstring(L, -2), *value = secret_tolstring(L, -1, &length);
        check_header(L, r, name, value, length);
        lua_settop(L, top);
    }
}

static void check_status(lua_State *L, reply *r, int index) {
    lua_Integer status = luaL_checkinteger(L, index);
    if (status < 200 || status > 599)
        error_raise(L, "usage", "%d is not a status to answer with", (int)status);
    r->status = (unsigned)status;
}

reply reply_check(lua_State *L, int index) {
    reply r = {0};
    luaL_checktype(L, index, LUA_TTABLE);
    r.body = push_body(L, index, &r.length);
    lua_getfield(L, index, "cut");
    r.cut = lua_isnumber(L, -1) && lua_tointeger(L, -1) >= 0 ? (size_t)lua_tointeger(L, -1) : r.length;
    lua_getfield(L, index, "status");
    check_status(L, &r, lua_gettop(L));
    lua_getfield(L, index, "headers");
    r.headers = lua_gettop(L);
    check_headers(L, &r);
    return r;
}

reply reply_check_streamed(lua_State *L, int status, int headers) {
    reply r = {.headers = headers};
    check_status(L, &r, status);
    check_headers(L, &r);
    return r;
}

/* ---- sending ---- */

static void add_headers(lua_State *L, const reply *r, text_buffer *out) {
    int top = lua_gettop(L);
    for (int i = 1, count = (int)lua_objlen(L, r->headers); i <= count; i++) {
        size_t length;
        lua_rawgeti(L, r->headers, i);
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        const char *name = lua_tostring(L, -2), *value = secret_tolstring(L, -1, &length);
        if (strcasecmp(name, "connection") != 0) {
            text_puts(out, name);
            text_puts(out, ": ");
            text_add(out, value, length);
            text_puts(out, "\r\n");
        }
        lua_settop(L, top);
    }
}

/* HTTP/1.0 knows no chunks: there the connection's end is the body's. */
static void add_framing(const reply *r, connection *c, text_buffer *out) {
    bool is_old = c->request.head.minor == 0, has_body = status_has_body(r->status);
    bool ends_it = !r->body && has_body && is_old;
    c->keep_alive = c->keep_alive && !r->closes && !c->rules->ending && !ends_it;
    if (has_body && r->body)
        text_printf(out, "Content-Length: %zu\r\n", r->length);
    else if (has_body && !is_old)
        text_puts(out, "Transfer-Encoding: chunked\r\n");
    if (!c->keep_alive)
        text_puts(out, "Connection: close\r\n");
    else if (is_old)
        text_puts(out, "Connection: keep-alive\r\n");
    text_puts(out, "\r\n");
}

bool reply_queue(lua_State *L, const reply *r, connection *c) {
    text_buffer out = {0};
    bool is_head = head_span_is(c->request.text, c->request.head.method, "head");
    bool sends_body = status_has_body(r->status) && !is_head;
    status_add(&out, r->status);
    add_headers(L, r, &out);
    add_framing(r, c, &out);
    connection_queue(c, out.text, out.length);
    text_free(&out);
    if (sends_body && r->body)
        connection_queue(c, r->body, r->cut < r->length ? r->cut : r->length);
    return sends_body;
}

void reply_send_part(connection *c, const char *bytes, size_t length) {
    if (c->request.head.minor == 0) {
        connection_send(c, bytes, length);
        return;
    }
    char size[24];
    snprintf(size, sizeof size, "%zx\r\n", length);
    connection_queue(c, size, strlen(size));
    connection_queue(c, bytes, length);
    connection_send(c, "\r\n", 2);
}

void reply_queue_end(connection *c) {
    if (c->request.head.minor > 0)
        connection_queue(c, "0\r\n\r\n", 5);
}
