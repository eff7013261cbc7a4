/* What a secret can do; see secret.h. */
#include "base/secret.h"

#include "base/effect.h"
#include "base/error.h"
#include "base/hidden.h"
#include "base/scrub.h"

#include <sodium.h>
#include <stdlib.h>

bool secret_is(lua_State *L, int index) {
    return hidden_is(L, index, HIDDEN_SECRET);
}

void secret_push(lua_State *L, const char *text, size_t length) {
    long_work work = {.L = L};
    if (!scrub_remember_as(&work, text, length))
        long_work_end(&work);
    hidden_push(L, HIDDEN_SECRET, text, length, SCRUB_MASK, sizeof SCRUB_MASK - 1);
}

const char *secret_plain(lua_State *L, int index, size_t *length) {
    const char *plain = hidden_plain(L, index, length);
    return plain ? plain : luaL_checklstring(L, index, length);
}

const char *secret_tolstring(lua_State *L, int index, size_t *length) {
    if (secret_is(L, index) && !effect_is_open())
        error_raise(L, "secret", "a secret can only be used by an effect, not read by a playbook");
    return secret_plain(L, index, length);
}

#define LONGEST ((size_t)1 << 20) /* each form of it is looked for in all that is shown */

/* new(text): a secret, and from now on scrubbed from all output. */
static int secret_new(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    if (length > LONGEST)
        error_raise(L, "usage", "a text of %zu KiB is too long for a secret: hostler hides up to 1 MiB",
                    length >> 10);
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
    size_t length;
    const char *plain = hidden_plain(L, 1, &length);
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (plain)
        lua_pushlstring(L, plain, length);
    else
        lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    if (plain) {
        const char *text = luaL_checklstring(L, -1, &length);
        secret_push(L, text, length);
    }
    return 1;
}

/* Two secrets are equal when their texts are. */
static int secret_eq(lua_State *L) {
    size_t left_length, right_length;
    const char *left = hidden_plain(L, 1, &left_length), *right = hidden_plain(L, 2, &right_length);
    lua_pushboolean(L, left && right && left_length == right_length &&
                           sodium_memcmp(left, right, left_length) == 0);
    return 1;
}

static int push_clean(lua_State *L, char *clean, size_t length) {
    lua_pushlstring(L, clean, length);
    free(clean);
    return 1;
}

/* scrub(text): the text without the secrets seen so far. */
static int scrub_lua(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    long_work work = {.L = L};
    char *clean = scrub_as(&work, text, length, &length);
    return clean ? push_clean(L, clean, length) : long_work_end(&work);
}

/* beginning(text, bytes), ending(text, bytes): of the text without the secrets; see scrub.h. */
static int beginning_lua(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    char *clean = scrub_beginning(text, length, (size_t)luaL_checkinteger(L, 2), &length);
    return push_clean(L, clean, length);
}

static int ending_lua(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    char *clean = scrub_end(text, length, (size_t)luaL_checkinteger(L, 2), &length);
    return push_clean(L, clean, length);
}

void secret_add(lua_State *L) {
    static const luaL_Reg metamethods[] = {{"__eq", secret_eq}, {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"new", secret_new},          {"random", secret_random}, {"is", secret_is_lua},
        {"reveal", secret_reveal},    {"derive", secret_derive}, {"scrub", scrub_lua},
        {"beginning", beginning_lua}, {"ending", ending_lua},    {NULL, NULL}};
    if (sodium_init() < 0)
        luaL_error(L, "libsodium cannot find a source of randomness");
    hidden_make_type(L, HIDDEN_SECRET, metamethods);
    luaL_register(L, NULL, functions);
}
