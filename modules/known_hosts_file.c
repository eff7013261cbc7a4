/* The C half of the module `known_hosts_file`: matching names, hashed ones too, and fingerprints. Pure. */
#include "ssh/key.h"
#include "ssh/known_hosts.h"

#include <lauxlib.h>
#include <stdlib.h>

int known_hosts_file_open(lua_State *L);

/* name(host, port) -> the name a host has in these files */
static int name_lua(lua_State *L) {
    char *name = known_hosts_name(luaL_checkstring(L, 1), (int)luaL_checkinteger(L, 2));
    lua_pushstring(L, name);
    free(name);
    return 1;
}

/* matches(names, name) -> whether the names of a line concern this one */
static int matches_lua(lua_State *L) {
    size_t length;
    const char *names = luaL_checklstring(L, 1, &length);
    lua_pushboolean(L, known_hosts_match(luaL_checkstring(L, 2), names, length));
    return 1;
}

/* fingerprint(key in base64) -> "SHA256:...", or "?" for what is no key */
static int fingerprint_lua(lua_State *L) {
    char text[FINGERPRINT_SIZE];
    public_key_text key = {0};
    key.base64 = luaL_checklstring(L, 1, &key.base64_length);
    known_key_fingerprint(&key, text);
    lua_pushstring(L, text);
    return 1;
}

/* is_key(type, key in base64) -> whether that is a well-formed key of that type */
static int is_key_lua(lua_State *L) {
    unsigned char bytes[LARGEST_PUBLIC_KEY];
    public_key_text key;
    key.type = luaL_checklstring(L, 1, &key.type_length);
    key.base64 = luaL_checklstring(L, 2, &key.base64_length);
    lua_pushboolean(L, public_key_decode(&key, bytes) > 0);
    return 1;
}

int known_hosts_file_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"name", name_lua},
                                         {"matches", matches_lua},
                                         {"fingerprint", fingerprint_lua},
                                         {"is_key", is_key_lua},
                                         {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
