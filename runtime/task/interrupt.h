/* Signals that ask this process to stop, and ticks of its CPU time, as they come; what they mean for tasks is
 * the scheduler's.
 *
 * A second SIGINT, SIGTERM or SIGHUP within two seconds stops the process at once; SIGINT does not while it
 * is forgiven. While Lua runs, a timer that counts this process's own CPU time sets the interpreter's hook
 * now and then; waiting costs nothing. */
#ifndef HOSTLER_TASK_INTERRUPT_H
#define HOSTLER_TASK_INTERRUPT_H

#include <lua.h>
#include <stdbool.h>
#include <uv.h>

/* A signal ends the loop's wait; a tick sets the hook of the coroutine that runs. */
void interrupt_open(uv_loop_t *loop, lua_Hook hook);
void interrupt_close(void);

/* Says which coroutine runs now; NULL when none does. */
void interrupt_watch(lua_State *thread);

/* Has the hook called before the next instruction of the coroutine that runs. Async-signal-safe. */
void interrupt_soon(void);

/* The signal that has come since this was last asked, or 0. */
int interrupt_take(void);

/* Whether SIGINT never stops the process. */
void interrupt_forgive(bool forgiving);

/* What must happen when the process stops at once (a second Ctrl-C). Must be async-signal-safe; at most four.
 */
void interrupt_on_abort(void (*function)(void));

#endif
