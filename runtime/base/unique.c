/* See unique.h. */
#include "base/unique.h"

#include <lauxlib.h>
#include <sodium.h>
#include <stdio.h>

/* uuid() -> a random (version 4) UUID, RFC 9562. */
static int uuid_lua(lua_State *L) {
    unsigned char b[16];
    randombytes_buf(b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    char text[37];
    snprintf(text, sizeof text, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    lua_pushstring(L, text);
    return 1;
}

/* random(n) -> an integer from 0 to n - 1, each as likely */
static int random_lua(lua_State *L) {
    lua_Integer limit = luaL_checkinteger(L, 1);
    luaL_argcheck(L, limit > 0 && limit <= INT32_MAX, 1, "from 1 up");
    lua_pushinteger(L, (lua_Integer)randombytes_uniform((uint32_t)limit));
    return 1;
}

/* hash(text) -> 32 hexadecimal digits that tell texts apart (BLAKE2b) */
static int hash_lua(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    unsigned char digest[crypto_generichash_BYTES_MIN];
    char hex[sizeof digest * 2 + 1];
    crypto_generichash(digest, sizeof digest, (const unsigned char *)text, length, NULL, 0);
    lua_pushstring(L, sodium_bin2hex(hex, sizeof hex, digest, sizeof digest));
    return 1;
}

void unique_add(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"uuid", uuid_lua}, {"random", random_lua}, {"hash", hash_lua}, {NULL, NULL}};
    luaL_register(L, NULL, functions);
}
