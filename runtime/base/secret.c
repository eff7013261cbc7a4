/* Secrets and unknowns, and the scrubber that keeps the first out of everything people read. */
#include "base/secret.h"

#include "base/error.h"
#include "task/task.h"

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

/* The patterns that begin with one byte, longest first: an encoded form often contains the plain one. */
typedef struct pattern pattern;
struct pattern {
    pattern *next;
    size_t length;
    char text[];
};

static pattern *patterns[256];

static void *allocate(size_t size) {
    void *memory = malloc(size);
    if (!memory)
        abort(); /* going on would show secrets */
    return memory;
}

static void add_pattern(const char *text, size_t length) {
    if (length < SHORTEST_SCRUBBED)
        return;
    pattern **link = &patterns[(unsigned char)text[0]];
    for (; *link && (*link)->length >= length; link = &(*link)->next)
        if ((*link)->length == length && memcmp((*link)->text, text, length) == 0)
            return;
    pattern *added = allocate(sizeof *added + length);
    added->length = length;
    memcpy(added->text, text, length);
    added->next = *link;
    *link = added;
}

/* A text in base64 looks in three ways, depending on where in the encoded whole it begins ("user:password" of
 * HTTP's basic authentication); the characters that it shares with its neighbours are left out. */
static void add_base64(const char *text, size_t length, int variant) {
    unsigned char *shifted = allocate(length + 2);
    size_t room = sodium_base64_encoded_len(length + 2, variant);
    char *encoded = allocate(room);
    for (size_t shift = 0; shift < 3; shift++) {
        memset(shifted, 0, shift);
        memcpy(shifted + shift, text, length);
        sodium_bin2base64(encoded, room, shifted, shift + length, variant);
        size_t skipped = (shift * 8 + 5) / 6, whole = (shift + length) * 8 / 6;
        add_pattern(encoded + skipped, whole - skipped);
        if (shift == 0)
            add_pattern(encoded, strlen(encoded));
    }
    free(encoded);
    free(shifted);
}

/* Each escaper writes the form of one byte and returns its length; the longest form has six bytes. */
static size_t escape_url(char *out, unsigned char byte) {
    if (isalnum(byte) || strchr("-._~", byte))
        return (size_t)sprintf(out, "%c", byte);
    return (size_t)sprintf(out, "%%%02X", byte);
}

static size_t escape_url_lower(char *out, unsigned char byte) {
    return isalnum(byte) || strchr("-._~", byte) ? escape_url(out, byte)
                                                 : (size_t)sprintf(out, "%%%02x", byte);
}

static size_t escape_form(char *out, unsigned char byte) {
    return byte == ' ' ? (size_t)sprintf(out, "+") : escape_url(out, byte);
}

static size_t escape_shell(char *out, unsigned char byte) {
    return (size_t)(byte == '\'' ? sprintf(out, "'\\''") : sprintf(out, "%c", byte));
}

/* Between double quotes. */
static size_t escape_shell_double(char *out, unsigned char byte) {
    return (size_t)sprintf(out, byte && strchr("\"$`\\", byte) ? "\\%c" : "%c", byte);
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

/* As PHP and others write it. */
static size_t escape_json_slash(char *out, unsigned char byte) {
    return byte == '/' ? (size_t)sprintf(out, "\\/") : escape_json(out, byte);
}

typedef size_t (*escaper)(char *, unsigned char);

/* Adds the escaped form, and when it is `nested`, what JSON and a shell's quotes make of that in turn: a
 * command line that holds a document, a document that holds a command line. */
static void add_escaped(const char *text, size_t length, escaper escape, bool nested) {
    char *escaped = allocate(length * 6 + 1);
    size_t used = 0;
    for (size_t i = 0; i < length; i++)
        used += text[i] ? escape(escaped + used, (unsigned char)text[i]) : 0;
    add_pattern(escaped, used);
    if (nested) {
        add_escaped(escaped, used, escape_json, false);
        add_escaped(escaped, used, escape_shell, false);
    }
    free(escaped);
}

static void remember_forms(const char *text, size_t length) {
    static const escaper escapes[] = {escape_url,          escape_url_lower, escape_form,      escape_shell,
                                      escape_shell_double, escape_json,      escape_json_slash};
    if (length < SHORTEST_SCRUBBED)
        return;
    add_pattern(text, length);
    add_base64(text, length, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    add_base64(text, length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
        add_escaped(text, length, escapes[i], true);
}

/* The lines of a key or a certificate are secret one by one too: what prints them may cut or indent them. */
static void remember(const char *text, size_t length) {
    remember_forms(text, length);
    const char *end = text + length;
    for (const char *line = text, *newline; line < end; line = newline + 1) {
        newline = memchr(line, '\n', (size_t)(end - line));
        if (!newline && line == text)
            return;
        newline = newline ? newline : end;
        size_t visible = (size_t)(newline - line);
        remember_forms(line, visible > 0 && line[visible - 1] == '\r' ? visible - 1 : visible);
    }
}

/* The length of the longest pattern that the text begins with, or 0. */
static size_t secret_length(const char *text, size_t left) {
    for (const pattern *p = patterns[(unsigned char)text[0]]; p; p = p->next)
        if (p->length <= left && memcmp(p->text, text, p->length) == 0)
            return p->length;
    return 0;
}

char *scrub(const char *text, size_t length, size_t *scrubbed_length) {
    /* A mask stands for at least SHORTEST_SCRUBBED bytes, so it adds at most this much. */
    size_t room = length + (length / SHORTEST_SCRUBBED + 1) * (sizeof MASK - 1 - SHORTEST_SCRUBBED) + 1;
    char *out = allocate(room);
    size_t used = 0, hidden_to = 0; /* secrets may overlap: all of both is hidden */
    for (size_t i = 0; i < length; i++) {
        size_t found = secret_length(text + i, length - i);
        if (found && i >= hidden_to) {
            memcpy(out + used, MASK, sizeof MASK - 1);
            used += sizeof MASK - 1;
        }
        if (i + found > hidden_to && found)
            hidden_to = i + found;
        if (i >= hidden_to)
            out[used++] = text[i];
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

/* derive(value, fn): what fn makes of the plain text, a secret again; for a value that is no secret,
 * fn(value). For quoting and encoding, which need the text: fn must neither keep nor show it. */
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

/* <create droplet> indexed by "id" is <create droplet.id>; a text with an unknown in it is put in brackets
 * first. */
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
    return error_raise(L, "unknown",
                       "%s is decided only when the step runs, so this dry run cannot compute with it",
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
    static const luaL_Reg secret_meta[] = {{"__tostring", hidden_tostring},
                                           {"__concat", hidden_concat},
                                           {"__eq", secret_eq},
                                           {"__gc", secret_gc},
                                           {NULL, NULL}};
    static const luaL_Reg unknown_meta[] = {{"__tostring", hidden_tostring}, {"__concat", hidden_concat},
                                            {"__index", unknown_index},      {"__call", unknown_call},
                                            {"__add", unknown_refuse},       {"__sub", unknown_refuse},
                                            {"__mul", unknown_refuse},       {"__div", unknown_refuse},
                                            {"__mod", unknown_refuse},       {"__pow", unknown_refuse},
                                            {"__unm", unknown_refuse},       {"__lt", unknown_refuse},
                                            {"__le", unknown_refuse},        {"__len", unknown_refuse},
                                            {"__newindex", unknown_refuse},  {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"new", secret_new},       {"random", secret_random},      {"is", secret_is_lua},
        {"reveal", secret_reveal}, {"derive", secret_derive},      {"scrub", scrub_lua},
        {"unknown", unknown_new},  {"is_unknown", unknown_is_lua}, {NULL, NULL}};
    if (sodium_init() < 0)
        return luaL_error(L, "libsodium cannot find a source of randomness");
    make_type(L, SECRET_TYPE, secret_meta);
    make_type(L, UNKNOWN_TYPE, unknown_meta);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
