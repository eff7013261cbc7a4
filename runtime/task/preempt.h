/* Ctrl-C and deadlines reach code that computes without waiting. */
#ifndef HOSTLER_TASK_PREEMPT_H
#define HOSTLER_TASK_PREEMPT_H

#include <lua.h>

/* The interpreter's hook that a tick sets for the running coroutine. */
void preempt_hook(lua_State *L, lua_Debug *frame);

/* For functions of C that compute for long, about every millisecond, with how often it was: raises what the
 * hook would. */
void preempt_check(lua_State *L, unsigned long times);

#endif
