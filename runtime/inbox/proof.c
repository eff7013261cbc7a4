/* What proofs of origin are computed with: libsodium's HMAC, comparison in constant time, and encodings; see
 * inbox.h. */
#include "base/secret.h"
#include "inbox/inbox.h"

#include <lauxlib.h>
#include <sodium.h>
#include <string.h>

#define FIRST_TEXT 3

static int hmac_sha256(lua_State *L, const unsigned char *key, size_t key_length) {
    crypto_auth_hmacsha256_state state;
    unsigned char code[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_init(&state, key, key_length);
    for (int i = FIRST_TEXT; i <= lua_gettop(L); i++)
        crypto_auth_hmacsha256_update(&state, (const unsigned char *)lua_tostring(L, i), lua_objlen(L, i));
    crypto_auth_hmacsha256_final(&state, code);
    sodium_memzero(&state, sizeof state);
    lua_pushlstring(L, (const char *)code, sizeof code);
    return 1;
}

static int hmac_sha512(lua_State *L, const unsigned char *key, size_t key_length) {
    crypto_auth_hmacsha512_state state;
    unsigned char code[crypto_auth_hmacsha512_BYTES];
    crypto_auth_hmacsha512_init(&state, key, key_length);
    for (int i = FIRST_TEXT; i <= lua_gettop(L); i++)
        crypto_auth_hmacsha512_update(&state, (const unsigned char *)lua_tostring(L, i), lua_objlen(L, i));
    crypto_auth_hmacsha512_final(&state, code);
    sodium_memzero(&state, sizeof state);
    lua_pushlstring(L, (const char *)code, sizeof code);
    return 1;
}

static int hmac_lua(lua_State *L) {
    static const char *const algorithms[] = {"sha256", "sha512", NULL};
    int algorithm = luaL_checkoption(L, 1, NULL, algorithms);
    size_t length;
    const unsigned char *key = (const unsigned char *)secret_plain(L, 2, &length);
    for (int i = FIRST_TEXT; i <= lua_gettop(L); i++)
        luaL_checkstring(L, i);
    return algorithm == 0 ? hmac_sha256(L, key, length) : hmac_sha512(L, key, length);
}

/* Hashes of a key that nobody knows are compared, so that neither place nor length of a difference shows. */
static int same_lua(lua_State *L) {
    unsigned char key[crypto_generichash_KEYBYTES], hashes[2][crypto_generichash_BYTES];
    randombytes_buf(key, sizeof key);
    for (int i = 0; i < 2; i++) {
        size_t length;
        const char *text = secret_plain(L, i + 1, &length);
        crypto_generichash(hashes[i], sizeof hashes[i], (const unsigned char *)text, length, key, sizeof key);
    }
    lua_pushboolean(L, sodium_memcmp(hashes[0], hashes[1], sizeof hashes[0]) == 0);
    sodium_memzero(hashes, sizeof hashes);
    return 1;
}

static int decode_lua(lua_State *L) {
    static const char *const encodings[] = {"hex", "base64", NULL};
    int encoding = luaL_checkoption(L, 1, NULL, encodings);
    size_t length, decoded;
    const char *text = luaL_checklstring(L, 2, &length);
    unsigned char *bytes = lua_newuserdata(L, length + 1);
    int problem = encoding == 0 ? sodium_hex2bin(bytes, length, text, length, NULL, &decoded, NULL)
                                : sodium_base642bin(bytes, length, text, length, NULL, &decoded, NULL,
                                                    sodium_base64_VARIANT_ORIGINAL);
    if (problem)
        return 0;
    lua_pushlstring(L, (const char *)bytes, decoded);
    return 1;
}

void proof_add(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"hmac", hmac_lua}, {"same", same_lua}, {"decode", decode_lua}, {NULL, NULL}};
    luaL_register(L, NULL, functions);
}
