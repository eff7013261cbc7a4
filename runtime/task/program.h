/* Programs of this machine: an argument list, what they read, what they say. Never a shell. */
#ifndef HOSTLER_TASK_PROGRAM_H
#define HOSTLER_TASK_PROGRAM_H

#include <lua.h>

/* Pushes a table: run(argv, {stdin, env, cwd, timeout, limit, check}) -> {status, stdout, stderr}. It waits,
 * and works only inside an effect. What each option means, and what it raises, is said in modules/sh.lua. */
int program_open(lua_State *L);

#endif
