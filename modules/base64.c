/* Base64, RFC 4648 section 4: libsodium's. The C half of the module `base64`. */
#include "base/error.h"

#include <lauxlib.h>
#include <lua.h>
#include <sodium.h>
#include <string.h>

#define LONGEST ((size_t)64 << 20) /* what is longer takes seconds, in which nothing else goes on */
#define WHITE_SPACE " \t\n\v\f\r"

int base64_open(lua_State *L);

/* decode(text) -> bytes, or nil for what is no base64. White space counts for nothing; the padding may be
 * left out. */
static int decode_lua(lua_State *L) {
    size_t length, decoded;
    const char *text = luaL_checklstring(L, 1, &length);
    if (length > LONGEST)
        error_raise(L, "usage", "base64 of %zu MiB is too long: hostler decodes up to 64 MiB", length >> 20);
    if (memchr(text, '\0', length))
        return 0;
    while (length > 0 && strchr(WHITE_SPACE "=", text[length - 1]))
        length--;
    unsigned char *bytes = lua_newuserdata(L, length + 1);
    if (sodium_base642bin(bytes, length, text, length, WHITE_SPACE, &decoded, NULL,
                          sodium_base64_VARIANT_ORIGINAL_NO_PADDING))
        return 0;
    lua_pushlstring(L, (const char *)bytes, decoded);
    return 1;
}

int base64_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"decode", decode_lua}, {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
