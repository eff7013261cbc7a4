/* bytecode FOLDER NAME=PATH... compiles Lua files when hostler is built, so that it need not at every start:
 * writes FOLDER/NAME for each. Lines and names of variables stay in it, for errors, tracebacks and the
 * debugger. It is linked with the library that will load the result. */
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int append(lua_State *L, const void *part, size_t length, void *file) {
    (void)L;
    return fwrite(part, 1, length, file) != length;
}

static int compile(lua_State *L, const char *name, const char *path, const char *target) {
    lua_settop(L, 0);
    lua_pushfstring(L, "=hostler:%s", name);
    FILE *source = fopen(path, "r");
    if (!source) {
        perror(path);
        return 1;
    }
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    for (size_t length = 1; length > 0; luaL_addsize(&text, length))
        length = fread(luaL_prepbuffer(&text), 1, LUAL_BUFFERSIZE, source);
    luaL_pushresult(&text);
    fclose(source);
    if (luaL_loadbufferx(L, lua_tostring(L, 2), lua_objlen(L, 2), lua_tostring(L, 1), "t")) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        return 1;
    }
    FILE *result = fopen(target, "w");
    if (!result || lua_dump(L, append, result) | fclose(result)) {
        perror(target);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    lua_State *L = luaL_newstate();
    int failed = !L || argc < 2;
    for (int i = 2; i < argc && !failed; i++) {
        char name[256], target[4096];
        const char *equals = strchr(argv[i], '=');
        int length = equals ? (int)(equals - argv[i]) : (int)strlen(argv[i]);
        failed = snprintf(name, sizeof name, "%.*s", length, argv[i]) >= (int)sizeof name ||
                 snprintf(target, sizeof target, "%s/%s", argv[1], name) >= (int)sizeof target ||
                 compile(L, name, equals ? equals + 1 : argv[i], target);
    }
    if (L)
        lua_close(L);
    return failed;
}
