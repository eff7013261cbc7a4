/* Secrets and unknowns, and the scrubber that keeps the first out of everything people read. */
#include "secret.h"

#include "error.h"
#include "task.h"

#include <ctype.h>
#include <lauxlib.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_TYPE "hostler.secret"
#define UNKNOWN_TYPE "hostler.unknown"
#define MASK "[secret]"
#define SHORTEST_SCRUBBED 6

/* Both texts follow the header: the plain one (secrets only), then the shown one. */
typedef struct {
    size_t plain_length, shown_length;
    char text[];
} hidden;

static const char *plain_of(const hidden *value) {
    return value->text;
}

static const char *shown_of(const hidden *value) {
    return value->text + value->plain_length + 1;
}

static hidden *to_hidden(lua_State *L, int index, const char *type) {
    void *value = lua_touserdata(L, index);
    if (!value || !lua_getmetatable(L, index))
        return NULL;
    luaL_getmetatable(L, type);
    int same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same ? value : NULL;
}

bool secret_is(lua_State *L, int index) {
    return to_hidden(L, index, SECRET_TYPE) != NULL;
}

bool unknown_is(lua_State *L, int index) {
    return to_hidden(L, index, UNKNOWN_TYPE) != NULL;
}

static hidden *push_hidden(lua_State *L, const char *type, size_t plain_length, size_t shown_length) {
    hidden *value = lua_newuserdata(L, sizeof *value + plain_length + shown_length + 2);
    value->plain_length = plain_length;
    value->shown_length = shown_length;
    value->text[plain_length] = value->text[plain_length + 1 + shown_length] = '\0';
    luaL_getmetatable(L, type);
    lua_setmetatable(L, -2);
    return value;
}

/* ---- the scrubber ---- */

typedef struct {
    char *text;
    size_t length;
} pattern;

static pattern *patterns;
static size_t pattern_count, pattern_room;

static void add_pattern(const char *text, size_t length) {
    if (length < SHORTEST_SCRUBBED)
        return;
    for (size_t i = 0; i < pattern_count; i++)
        if (patterns[i].length == length && memcmp(patterns[i].text, text, length) == 0)
            return;
    if (pattern_count == pattern_room) {
        size_t room = pattern_room ? pattern_room * 2 : 32;
        pattern *larger = realloc(patterns, room * sizeof *larger);
        if (!larger)
            abort();
        patterns = larger;
        pattern_room = room;
    }
    char *copy = malloc(length);
    if (!copy)
        abort();
    memcpy(copy, text, length);
    /* Longest first: an encoded form often contains the plain one. */
    size_t at = pattern_count++;
    for (; at > 0 && patterns[at - 1].length < length; at--)
        patterns[at] = patterns[at - 1];
    patterns[at] = (pattern){copy, length};
}

static void add_base64(const char *text, size_t length, int variant) {
    size_t room = sodium_base64_encoded_len(length, variant);
    char *encoded = malloc(room);
    if (!encoded)
        abort();
    sodium_bin2base64(encoded, room, (const unsigned char *)text, length, variant);
    add_pattern(encoded, strlen(encoded));
    free(encoded);
}

/* Each escaper writes the form of one byte and returns its length; the longest form has six bytes. */
static size_t escape_url(char *out, unsigned char byte) {
    if (isalnum(byte) || strchr("-._~", byte))
        return (size_t)sprintf(out, "%c", byte);
    return (size_t)sprintf(out, "%%%02X", byte);
}

static size_t escape_shell(char *out, unsigned char byte) {
    return (size_t)(byte == '\'' ? sprintf(out, "'\\''") : sprintf(out, "%c", byte));
}

static size_t escape_json(char *out, unsigned char byte) {
    static const char special[] = "\"\\\n\r\t\b\f", letters[] = "\"\\nrtbf";
    const char *found = byte ? strchr(special, byte) : NULL;
    if (found)
        return (size_t)sprintf(out, "\\%c", letters[found - special]);
    if (byte < 0x20)
        return (size_t)sprintf(out, "\\u%04x", byte);
    return (size_t)sprintf(out, "%c", byte);
}

static void add_escaped(const char *text, size_t length, size_t (*escape)(char *, unsigned char)) {
    char *escaped = malloc(length * 6 + 1);
    if (!escaped)
        abort();
    size_t used = 0;
    for (size_t i = 0; i < length; i++)
        used += text[i] ? escape(escaped + used, (unsigned char)text[i]) : 0;
    add_pattern(escaped, used);
    free(escaped);
}

static void remember(const char *text, size_t length) {
    if (length < SHORTEST_SCRUBBED)
        return;
    add_pattern(text, length);
    add_base64(text, length, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    add_base64(text, length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    add_escaped(text, length, escape_url);
    add_escaped(text, length, escape_shell);
    add_escaped(text, length, escape_json);
}

static const pattern *pattern_at(const char *text, size_t left) {
    for (size_t i = 0; i < pattern_count; i++)
        if (patterns[i].length <= left && patterns[i].text[0] == text[0] &&
            memcmp(patterns[i].text, text, patterns[i].length) == 0)
            return &patterns[i];
    return NULL;
}

char *scrub(const char *text, size_t length, size_t *scrubbed_length) {
    /* A pattern is never shorter than SHORTEST_SCRUBBED, so a mask adds at most this much. */
    size_t room = length + (length / SHORTEST_SCRUBBED + 1) * (sizeof MASK - 1 - SHORTEST_SCRUBBED) + 1;
    char *out = malloc(room);
    if (!out)
        abort();
    size_t used = 0;
    for (size_t i = 0; i < length;) {
        const pattern *found = pattern_at(text + i, length - i);
        if (found) {
            memcpy(out + used, MASK, sizeof MASK - 1);
            used += sizeof MASK - 1;
            i += found->length;
        } else {
            out[used++] = text[i++];
        }
    }
    out[used] = '\0';
    if (scrubbed_length)
        *scrubbed_length = used;
    return out;
}

/* ---- values ---- */

void secret_push(lua_State *L, const char *text, size_t length) {
    remember(text, length);
    hidden *value = push_hidden(L, SECRET_TYPE, length, sizeof MASK - 1);
    memcpy(value->text, text, length);
    memcpy((char *)shown_of(value), MASK, sizeof MASK - 1);
}

void unknown_push(lua_State *L, const char *shown, size_t length) {
    hidden *value = push_hidden(L, UNKNOWN_TYPE, 0, length);
    memcpy((char *)shown_of(value), shown, length);
}

const char *secret_tolstring(lua_State *L, int index, size_t *length) {
    hidden *value = to_hidden(L, index, SECRET_TYPE);
    if (!value)
        return luaL_checklstring(L, index, length);
    if (!task_in_effect())
        error_raise(L, "secret", "a secret can only be used by an effect, not read by a playbook");
    if (length)
        *length = value->plain_length;
    return plain_of(value);
}

const char *secret_shown(lua_State *L, int index, size_t *length) {
    hidden *value = to_hidden(L, index, SECRET_TYPE);
    if (!value)
        value = to_hidden(L, index, UNKNOWN_TYPE);
    if (!value)
        return lua_isstring(L, index) ? lua_tolstring(L, index, length) : NULL;
    if (length)
        *length = value->shown_length;
    return shown_of(value);
}

static int hidden_tostring(lua_State *L) {
    size_t length;
    const char *shown = secret_shown(L, 1, &length);
    lua_pushlstring(L, shown, length);
    return 1;
}

static int secret_gc(lua_State *L) {
    hidden *value = lua_touserdata(L, 1);
    sodium_memzero(value->text, value->plain_length);
    return 0;
}

/* The plain text for concatenation: what leaves is a secret again, so no effect is needed. */
const char *secret_plain(lua_State *L, int index, size_t *length) {
    hidden *value = to_hidden(L, index, SECRET_TYPE);
    if (!value)
        return luaL_checklstring(L, index, length);
    *length = value->plain_length;
    return plain_of(value);
}

/* secret .. text, text .. secret, and either with an unknown, which makes it unknown. */
static int hidden_concat(lua_State *L) {
    size_t shown_left, shown_right, left_length, right_length;
    const char *left_shown = secret_shown(L, 1, &shown_left);
    const char *right_shown = secret_shown(L, 2, &shown_right);
    if (!left_shown || !right_shown)
        return luaL_error(L, "attempt to concatenate a %s value", luaL_typename(L, left_shown ? 2 : 1));
    bool unknown = unknown_is(L, 1) || unknown_is(L, 2);
    const char *left = unknown ? "" : secret_plain(L, 1, &left_length);
    const char *right = unknown ? "" : secret_plain(L, 2, &right_length);
    if (unknown)
        left_length = right_length = 0;
    hidden *value = push_hidden(L, unknown ? UNKNOWN_TYPE : SECRET_TYPE, left_length + right_length,
                                shown_left + shown_right);
    memcpy(value->text, left, left_length);
    memcpy(value->text + left_length, right, right_length);
    memcpy((char *)shown_of(value), left_shown, shown_left);
    memcpy((char *)shown_of(value) + shown_left, right_shown, shown_right);
    return 1;
}

/* new(text): a secret, and from now on scrubbed from all output. */
static int secret_new(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    secret_push(L, text, length);
    return 1;
}

/* random(length): letters and digits without those that people mix up (0 O 1 l I). */
static int secret_random(lua_State *L) {
    static const char letters[] = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
    lua_Integer length = luaL_optinteger(L, 1, 32);
    luaL_argcheck(L, length >= 8 && length <= 256, 1, "8 to 256 characters");
    char text[256];
    for (lua_Integer i = 0; i < length; i++)
        text[i] = letters[randombytes_uniform(sizeof letters - 1)];
    secret_push(L, text, (size_t)length);
    sodium_memzero(text, sizeof text);
    return 1;
}

static int secret_is_lua(lua_State *L) {
    lua_pushboolean(L, secret_is(L, 1));
    return 1;
}

/* reveal(value): the plain text; only inside an effect. */
static int secret_reveal(lua_State *L) {
    size_t length;
    const char *text = secret_tolstring(L, 1, &length);
    lua_pushlstring(L, text, length);
    return 1;
}

/* derive(value, fn): what fn makes of the plain text, a secret again; for a value that is no secret, fn(value). For
 * quoting and encoding, which need the text: fn must neither keep nor show it. */
static int secret_derive(lua_State *L) {
    hidden *value = to_hidden(L, 1, SECRET_TYPE);
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (value)
        lua_pushlstring(L, plain_of(value), value->plain_length);
    else
        lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    if (value) {
        size_t length;
        const char *text = luaL_checklstring(L, -1, &length);
        secret_push(L, text, length);
    }
    return 1;
}

/* Two secrets are equal when their texts are. */
static int secret_eq(lua_State *L) {
    hidden *left = to_hidden(L, 1, SECRET_TYPE), *right = to_hidden(L, 2, SECRET_TYPE);
    lua_pushboolean(L, left && right && left->plain_length == right->plain_length &&
                           sodium_memcmp(left->text, right->text, left->plain_length) == 0);
    return 1;
}

/* scrub(text): the text without the secrets seen so far. */
static int scrub_lua(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    char *clean = scrub(text, length, &length);
    lua_pushlstring(L, clean, length);
    free(clean);
    return 1;
}

/* ---- unknowns ---- */

/* <create droplet> indexed by "id" is <create droplet.id>; a text with an unknown in it is put in brackets first. */
static int unknown_index(lua_State *L) {
    size_t length;
    const char *shown = secret_shown(L, 1, &length);
    bool whole = length > 2 && shown[0] == '<' && memchr(shown, '>', length) == shown + length - 1;
    const char *key = lua_isstring(L, 2) ? lua_tostring(L, 2) : "?";
    if (whole)
        lua_pushlstring(L, shown + 1, length - 2);
    else
        lua_pushlstring(L, shown, length);
    lua_pushfstring(L, lua_isnumber(L, 2) ? "<%s[%s]>" : "<%s.%s>", lua_tostring(L, -1), key);
    shown = lua_tolstring(L, -1, &length);
    unknown_push(L, shown, length);
    return 1;
}

static int unknown_call(lua_State *L) {
    lua_pushvalue(L, 1);
    return 1;
}

static int unknown_refuse(lua_State *L) {
    int index = unknown_is(L, 1) ? 1 : 2;
    return error_raise(L, "unknown", "%s is decided only when the step runs, so this dry run cannot compute with it",
                       secret_shown(L, index, NULL));
}

/* unknown(shown) */
static int unknown_new(lua_State *L) {
    size_t length;
    const char *shown = luaL_checklstring(L, 1, &length);
    unknown_push(L, shown, length);
    return 1;
}

static int unknown_is_lua(lua_State *L) {
    lua_pushboolean(L, unknown_is(L, 1));
    return 1;
}

static void make_type(lua_State *L, const char *type, const luaL_Reg *metamethods) {
    luaL_newmetatable(L, type);
    luaL_register(L, NULL, metamethods);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

int secret_open(lua_State *L) {
    static const luaL_Reg secret_meta[] = {
        {"__tostring", hidden_tostring}, {"__concat", hidden_concat}, {"__eq", secret_eq}, {"__gc", secret_gc}, {NULL, NULL}};
    static const luaL_Reg unknown_meta[] = {
        {"__tostring", hidden_tostring}, {"__concat", hidden_concat}, {"__index", unknown_index},
        {"__call", unknown_call},        {"__add", unknown_refuse},   {"__sub", unknown_refuse},
        {"__mul", unknown_refuse},       {"__div", unknown_refuse},   {"__mod", unknown_refuse},
        {"__pow", unknown_refuse},       {"__unm", unknown_refuse},   {"__lt", unknown_refuse},
        {"__le", unknown_refuse},        {"__len", unknown_refuse},   {"__newindex", unknown_refuse},
        {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"new", secret_new},       {"random", secret_random}, {"is", secret_is_lua},
        {"reveal", secret_reveal}, {"derive", secret_derive}, {"scrub", scrub_lua},
        {"unknown", unknown_new},  {"is_unknown", unknown_is_lua}, {NULL, NULL}};
    if (sodium_init() < 0)
        return luaL_error(L, "libsodium cannot find a source of randomness");
    make_type(L, SECRET_TYPE, secret_meta);
    make_type(L, UNKNOWN_TYPE, unknown_meta);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
