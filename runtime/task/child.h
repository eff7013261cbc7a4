/* Processes of hostler's own. */
#ifndef HOSTLER_TASK_CHILD_H
#define HOSTLER_TASK_CHILD_H

#include <lua.h>

/* Pushes a table: run(arguments) -> exit status, signal; it waits. Cancelling it asks the process to stop. */
int child_open(lua_State *L);

#endif
