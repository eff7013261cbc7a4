/* The memory that Lua may use, and what becomes of one who wants more: an error in the code that grew, not
 * the kernel's choice of a process to end.
 *
 * Two bounds. When Lua has used so much that it may come too near to the first one, what is garbage is
 * collected; whoever is beyond it after that gets an error with its place, from a hook. One large piece
 * beyond it is refused at once, by Lua's own error. Between the first bound and the second is what our own
 * code needs to tell of it and to record the end. Both hold only while a task runs: the scheduler between two
 * tasks calls Lua's functions unprotected, needs little, and gets it. */
#ifndef HOSTLER_BASE_MEMORY_H
#define HOSTLER_BASE_MEMORY_H

#include <lua.h>
#include <stdbool.h>

/* Counts from here on what this Lua uses. The first bound is $HOSTLER_MEMORY in MiB, or 1024. False when that
 * is no number from 64 to 65536. `on_need` is called, in the middle of anything, when memory_check() is to be
 * called soon. */
bool memory_limit(lua_State *L, void (*on_need)(void));

/* Whether the bounds hold. */
void memory_enforce(bool on);

/* Collects garbage if it is time to; true when Lua uses too much after that. */
bool memory_check(lua_State *L);

/* The first bound, in MiB. */
unsigned memory_most(void);

/* Gives Lua its own allocator back: it frees all at once. */
void memory_release(lua_State *L);

#endif
