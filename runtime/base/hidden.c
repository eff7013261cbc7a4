/* The userdata of secrets and unknowns; see hidden.h. */
#include "base/hidden.h"

#include <sodium.h>
#include <string.h>

/* Both texts follow the header, each with a NUL: the plain one (empty for unknowns), then the shown one. */
typedef struct {
    size_t plain_length, shown_length;
    char text[];
} hidden;

static const char *const type_names[] = {
    [HIDDEN_SECRET] = "hostler.secret", [HIDDEN_UNKNOWN] = "hostler.unknown"};

static char *shown_of(hidden *value) {
    return value->text + value->plain_length + 1;
}

static hidden *to_hidden(lua_State *L, int index, hidden_kind kind) {
    void *value = lua_touserdata(L, index);
    if (!value || !lua_getmetatable(L, index))
        return NULL;
    luaL_getmetatable(L, type_names[kind]);
    int same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same ? value : NULL;
}

bool hidden_is(lua_State *L, int index, hidden_kind kind) {
    return to_hidden(L, index, kind) != NULL;
}

static hidden *push_empty(lua_State *L, hidden_kind kind, size_t plain_length, size_t shown_length) {
    hidden *value = lua_newuserdata(L, sizeof *value + plain_length + shown_length + 2);
    value->plain_length = plain_length;
    value->shown_length = shown_length;
    value->text[plain_length] = shown_of(value)[shown_length] = '\0';
    luaL_getmetatable(L, type_names[kind]);
    lua_setmetatable(L, -2);
    return value;
}

void hidden_push(lua_State *L, hidden_kind kind, const char *plain, size_t plain_length, const char *shown,
                 size_t shown_length) {
    hidden *value = push_empty(L, kind, plain_length, shown_length);
    memcpy(value->text, plain, plain_length);
    memcpy(shown_of(value), shown, shown_length);
}

const char *hidden_plain(lua_State *L, int index, size_t *length) {
    hidden *value = to_hidden(L, index, HIDDEN_SECRET);
    if (value && length)
        *length = value->plain_length;
    return value ? value->text : NULL;
}

const char *hidden_shown(lua_State *L, int index, size_t *length) {
    hidden *value = to_hidden(L, index, HIDDEN_SECRET);
    if (!value)
        value = to_hidden(L, index, HIDDEN_UNKNOWN);
    if (!value)
        return lua_isstring(L, index) ? lua_tolstring(L, index, length) : NULL;
    if (length)
        *length = value->shown_length;
    return shown_of(value);
}

static int hidden_tostring(lua_State *L) {
    size_t length;
    const char *shown = hidden_shown(L, 1, &length);
    lua_pushlstring(L, shown, length);
    return 1;
}

/* The text for joining it to another: what comes of it is hidden again. */
static const char *joined_part(lua_State *L, int index, size_t *length) {
    const char *plain = hidden_plain(L, index, length);
    return plain ? plain : lua_tolstring(L, index, length);
}

/* secret .. text, text .. secret, and either with an unknown. */
static int hidden_concat(lua_State *L) {
    size_t shown_left, shown_right, left_length = 0, right_length = 0;
    const char *left_shown = hidden_shown(L, 1, &shown_left);
    const char *right_shown = hidden_shown(L, 2, &shown_right);
    if (!left_shown || !right_shown)
        return luaL_error(L, "attempt to concatenate a %s value", luaL_typename(L, left_shown ? 2 : 1));
    bool unknown = hidden_is(L, 1, HIDDEN_UNKNOWN) || hidden_is(L, 2, HIDDEN_UNKNOWN);
    const char *left = unknown ? "" : joined_part(L, 1, &left_length);
    const char *right = unknown ? "" : joined_part(L, 2, &right_length);
    hidden *value = push_empty(L, unknown ? HIDDEN_UNKNOWN : HIDDEN_SECRET, left_length + right_length,
                               shown_left + shown_right);
    memcpy(value->text, left, left_length);
    memcpy(value->text + left_length, right, right_length);
    memcpy(shown_of(value), left_shown, shown_left);
    memcpy(shown_of(value) + shown_left, right_shown, shown_right);
    return 1;
}

static int hidden_gc(lua_State *L) {
    hidden *value = lua_touserdata(L, 1);
    sodium_memzero(value->text, value->plain_length);
    return 0;
}

void hidden_make_type(lua_State *L, hidden_kind kind, const luaL_Reg *metamethods) {
    static const luaL_Reg both[] = {
        {"__tostring", hidden_tostring}, {"__concat", hidden_concat}, {"__gc", hidden_gc}, {NULL, NULL}};
    luaL_newmetatable(L, type_names[kind]);
    luaL_register(L, NULL, both);
    luaL_register(L, NULL, metamethods);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
