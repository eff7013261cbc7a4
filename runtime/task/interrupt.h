/* Ctrl-C and deadlines reach code that computes without waiting.
 *
 * The first SIGINT, SIGTERM or SIGHUP cancels the root task; a second one within two seconds stops the
 * process at once. While there is a foreground task (a prompt's line, what was typed there), SIGINT is for
 * that task, however often it comes. While Lua runs, a timer that counts this process's own CPU time sets the
 * interpreter's hook now and then; waiting costs nothing. */
#ifndef HOSTLER_INTERRUPT_H
#define HOSTLER_INTERRUPT_H

#include <lua.h>
#include <stdbool.h>
#include <uv.h>

void interrupt_open(uv_loop_t *loop);
void interrupt_close(void);

/* Says which coroutine runs now; NULL when none does. */
void interrupt_watch(lua_State *thread);

/* Hands a signal that has come on to the root task; otherwise this happens in the loop and in the hook. */
void interrupt_deliver(void);

/* Sets the hook for a little later, without waiting for a tick: the task may catch what it now raises. */
void interrupt_again(lua_State *L);

/* Called from the hook, inside the running task; task.c. True when there is something to raise once code that
 * is not hostler's own runs. */
bool task_poll(lua_State *L, bool own_code);

/* Whether SIGINT never stops the process. */
void interrupt_forgive(bool forgiving);

/* What must happen when the process stops at once (a second Ctrl-C). Must be async-signal-safe; at most four.
 */
void interrupt_on_abort(void (*function)(void));

#endif
