/* Work in C that may take long asks from time to time whether somebody waits for its end: whoever pressed
 * Ctrl-C, or a deadline. The interpreter's hook, which hears them in loops of Lua, is not called meanwhile.
 */
#ifndef HOSTLER_BASE_LONG_WORK_H
#define HOSTLER_BASE_LONG_WORK_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* {.L = L}: nothing has been done yet. */
typedef struct {
    lua_State *L;
    unsigned long steps;
    bool must_end; /* once and for all */
} long_work;

/* So much more has been done: a step is about ten nanoseconds. Raises when it is to end. */
void long_work_count(long_work *work, size_t steps);

/* The same for who holds what a raise would lose: true when it is to end. Then free that, and call
 * long_work_end, which raises. */
bool long_work_must_end(long_work *work, size_t steps);
int long_work_end(long_work *work);

/* `must_end` is asked about every millisecond of long work, with how often it was; `end` raises when it has
 * said yes. */
void long_work_ask(bool (*must_end)(lua_State *L, unsigned long times), void (*end)(lua_State *L));

#endif
