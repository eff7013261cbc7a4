/* lua-test FILE: runs a Lua test file in a hostler world. Modules beside the file and in tests/lib are found.
 */
#include "host.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc < 2) {
        fputs("usage: lua-test FILE [ARGUMENTS]\n", stderr);
        return 2;
    }
    setenv("HOSTLER_PATH", "tests/lib", 0);
    lua_State *L = host_open();
    lua_createtable(L, argc, 0);
    for (int i = 1; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    int status = host_call(L, "run/script", "main", 1);
    host_close(L);
    return status;
}
