/* The clocks of this machine. */
#ifndef HOSTLER_BASE_CLOCK_H
#define HOSTLER_BASE_CLOCK_H

#include <lua.h>
#include <stdint.h>

/* Seconds since 1970, as the machine's clock is set. */
double clock_now(void);

/* Time since some moment, whatever happens to the machine's clock: in seconds, and whole milliseconds. Both
 * are async-signal-safe. */
double clock_monotonic(void);
int64_t clock_milliseconds(void);

/* Adds to the table on top of the stack: now() monotonic(). */
void clock_add(lua_State *L);

#endif
