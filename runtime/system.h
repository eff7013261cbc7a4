/* What the prelude needs from this machine: clock, environment, local files to read, the terminal. */
#ifndef HOSTLER_SYSTEM_H
#define HOSTLER_SYSTEM_H

#include <lua.h>

int system_open(lua_State *L);

#endif
