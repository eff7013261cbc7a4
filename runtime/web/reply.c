/* The answer to a request: from a table to libmicrohttpd's response; see reply.h. */
#include "web/reply.h"

#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 32768

/* A body that breaks off: the head announces all of it. For tests of clients. */
typedef struct {
    size_t end;
    char text[];
} cut_body;

static ssize_t read_cut(void *context, uint64_t position, char *out, size_t room) {
    const cut_body *body = context;
    if (position >= body->end)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t length = body->end - (size_t)position;
    length = length < room ? length : room;
    memcpy(out, body->text + position, length);
    return (ssize_t)length;
}

static struct MHD_Response *cut_response(const char *text, size_t length, size_t cut) {
    cut_body *body = malloc(sizeof *body + cut);
    if (!body)
        return NULL;
    body->end = cut;
    memcpy(body->text, text, cut);
    struct MHD_Response *response = MHD_create_response_from_callback(length, BLOCK, read_cut, body, free);
    if (!response)
        free(body);
    return response;
}

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

static void add_headers(lua_State *L, int index, struct MHD_Response *response) {
    lua_getfield(L, index, "headers");
    int list = lua_gettop(L);
    for (int i = 1, count = (int)lua_objlen(L, list); i <= count; i++) {
        lua_rawgeti(L, list, i);
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        const char *name = luaL_checkstring(L, -2), *value = secret_tolstring(L, -1, NULL);
        if (MHD_add_response_header(response, name, value) != MHD_YES)
            error_raise(L, "usage", "the HTTP header %s has a name or value that cannot be sent", name);
        lua_settop(L, list);
    }
}

void reply_build(lua_State *L, int index, struct MHD_Response **response, unsigned *status) {
    luaL_checktype(L, index, LUA_TTABLE);
    size_t length;
    const char *text = push_body(L, index, &length);
    lua_getfield(L, index, "cut");
    size_t cut = lua_isnumber(L, -1) ? (size_t)lua_tointeger(L, -1) : length;
    lua_getfield(L, index, "status");
    *status = (unsigned)luaL_checkinteger(L, -1);
    if (*response)
        MHD_destroy_response(*response);
    *response = cut < length ? cut_response(text, length, cut)
                             : MHD_create_response_from_buffer(length, (void *)text, MHD_RESPMEM_MUST_COPY);
    if (!*response)
        luaL_error(L, "out of memory");
    add_headers(L, index, *response);
}
