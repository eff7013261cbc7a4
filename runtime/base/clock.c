/* See clock.h. */
#include "base/clock.h"

#include <lauxlib.h>
#include <time.h>

static double seconds_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double clock_now(void) {
    return seconds_of(CLOCK_REALTIME);
}

double clock_monotonic(void) {
    return seconds_of(CLOCK_MONOTONIC);
}

int64_t clock_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + (int64_t)now.tv_nsec / 1000000;
}

static int now_lua(lua_State *L) {
    lua_pushnumber(L, clock_now());
    return 1;
}

static int monotonic_lua(lua_State *L) {
    lua_pushnumber(L, clock_monotonic());
    return 1;
}

void clock_add(lua_State *L) {
    static const luaL_Reg functions[] = {{"now", now_lua}, {"monotonic", monotonic_lua}, {NULL, NULL}};
    luaL_register(L, NULL, functions);
}
