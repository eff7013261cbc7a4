/* sleep, the shortest example of an operation that waits. */
#ifndef HOSTLER_TASK_SLEEP_H
#define HOSTLER_TASK_SLEEP_H

#include <lua.h>

/* sleep(seconds): waits. */
int sleep_lua(lua_State *L);

/* pause(seconds): the same, for a moment that a cancelled task needs, too. */
int sleep_pause_lua(lua_State *L);

/* The number of seconds at a stack index; raises "usage" unless it can be one. */
double sleep_check_seconds(lua_State *L, int index);

#endif
