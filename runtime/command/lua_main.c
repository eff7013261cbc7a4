/* See lua_main.h. */
#include "command/lua_main.h"

#include "command/table.h"
#include "host.h"

#include <lua.h>
#include <stdio.h>

static void push_arguments(lua_State *L, int argc, char **argv) {
    lua_createtable(L, argc, 0);
    for (int i = 1; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
}

static void push_commands(lua_State *L) {
    lua_newtable(L);
    for (const command *c = commands; c->name; c++) {
        lua_createtable(L, 0, 2);
        lua_pushstring(L, c->name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, c->summary);
        lua_setfield(L, -2, "summary");
        lua_rawseti(L, -2, (int)(c - commands) + 1);
    }
}

int lua_main(const char *name, int argc, char **argv) {
    lua_State *L = host_open();
    push_arguments(L, argc, argv);
    push_commands(L);
    char file[64];
    snprintf(file, sizeof file, "command/%s", name);
    int status = host_call(L, file, "main", 2);
    host_close(L);
    return status;
}
