/* A program that takes over the terminal until it ends: the person's editor. */
#ifndef HOSTLER_TASK_FOREGROUND_H
#define HOSTLER_TASK_FOREGROUND_H

#include <lua.h>

/* run(argv) -> its exit status (128 and the signal that ended it), or nil, reason when it cannot be started.
 * Nothing else of this process goes on meanwhile: for commands that have nothing else to do. */
int foreground_run(lua_State *L);

#endif
