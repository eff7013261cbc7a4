/* The journal as Lua sees it: the same functions, raising code "journal" when one fails. */
#include "journal.h"

#include "error.h"

#include <lauxlib.h>

#define JOURNAL_TYPE "hostler.journal"

static journal *self(lua_State *L) {
    return *(journal **)lua_touserdata(L, lua_upvalueindex(1));
}

static int check(lua_State *L, int failed) {
    if (failed)
        error_raise(L, "journal", "cannot record the run: %s", self(L)->error(self(L)));
    return 0;
}

static int run_begin(lua_State *L) {
    const char *id = self(L)->run_begin(self(L), luaL_checkstring(L, 1), luaL_checkstring(L, 2));
    check(L, id == NULL);
    lua_pushstring(L, id);
    return 1;
}

static int run_end(lua_State *L) {
    return check(L, self(L)->run_end(self(L), luaL_checkstring(L, 1), luaL_optstring(L, 2, NULL)));
}

/* step_find(path) -> "new" | "ambiguous" | "finished", result as JSON text or nil */
static int step_find(lua_State *L) {
    static const char *const states[] = {"new", "ambiguous", "finished"};
    step_state state;
    const char *result;
    check(L, self(L)->step_find(self(L), luaL_checkstring(L, 1), &state, &result));
    lua_pushstring(L, states[state]);
    lua_pushstring(L, result);
    return 2;
}

static int step_begin(lua_State *L) {
    return check(L, self(L)->step_begin(self(L), luaL_checkstring(L, 1)));
}

static int step_end(lua_State *L) {
    return check(L, self(L)->step_end(self(L), luaL_checkstring(L, 1), luaL_checkstring(L, 2),
                                      luaL_optstring(L, 3, NULL)));
}

static int effect_begin(lua_State *L) {
    int64_t number =
        self(L)->effect_begin(self(L), luaL_optstring(L, 1, NULL), luaL_checkstring(L, 2),
                              luaL_checkstring(L, 3), luaL_checkstring(L, 4), luaL_checkstring(L, 5));
    check(L, number < 0);
    lua_pushnumber(L, (double)number);
    return 1;
}

static int effect_end(lua_State *L) {
    return check(L, self(L)->effect_end(self(L), (int64_t)luaL_checknumber(L, 1), luaL_checkstring(L, 2)));
}

static int collect(lua_State *L) {
    journal **j = lua_touserdata(L, 1);
    if (*j)
        (*j)->close(*j);
    *j = NULL;
    return 0;
}

int journal_open(lua_State *L, journal *j) {
    static const luaL_Reg functions[] = {{"run_begin", run_begin},   {"run_end", run_end},
                                         {"step_find", step_find},   {"step_begin", step_begin},
                                         {"step_end", step_end},     {"effect_begin", effect_begin},
                                         {"effect_end", effect_end}, {NULL, NULL}};
    lua_newtable(L);
    *(journal **)lua_newuserdata(L, sizeof j) = j;
    if (luaL_newmetatable(L, JOURNAL_TYPE)) {
        lua_pushcfunction(L, collect);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushvalue(L, -1);
        lua_pushcclosure(L, f->func, 1);
        lua_setfield(L, -3, f->name);
    }
    lua_pop(L, 1);
    return 1;
}
