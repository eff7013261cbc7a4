/* Ctrl-C and deadlines reach code that computes without waiting. */
#ifndef HOSTLER_TASK_PREEMPT_H
#define HOSTLER_TASK_PREEMPT_H

#include <lua.h>
#include <stdbool.h>

/* The interpreter's hook that a tick sets for the running coroutine. */
void preempt_hook(lua_State *L, lua_Debug *frame);

/* For functions of C that compute for long, about every millisecond, with how often it was: whether the hook
 * would raise. task_checkpoint() then does. */
bool preempt_must_end(lua_State *L, unsigned long times);

#endif
