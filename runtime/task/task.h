/* Tasks: Lua coroutines on one libuv loop, and the one way to wait.
 *
 * A task owns the tasks it starts: it ends only after they have ended, and cancels them when it fails.
 * Cancelling is sticky: once cancelled, every wait of the task raises, so no stray pcall swallows it; cleanup
 * that has to wait runs in a shielded task. A deadline is absolute; a child's is never later than its
 * parent's.
 *
 * Writing a C function that waits:
 *   1. op = wait_new(L, sizeof *op, cancel, finish)     pushes the op's userdata; `wait` is its first member
 *   2. start the operation; on a misuse raise here, nothing has begun
 *   3. return wait_park(L, &op->wait)                   must be a return: it yields
 *   4. a libuv callback calls wait_done(&op->wait)      only marks the task ready; Lua runs later, from the
 * loop
 *   5. finish(L, wait) runs inside the task             pushes results and returns their count, or raises
 * Register such functions with task_register, which adds the part that runs `finish` and raises `cancelled`.
 */
#ifndef HOSTLER_TASK_TASK_H
#define HOSTLER_TASK_TASK_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

typedef struct task task;
typedef struct wait wait;

struct wait {
    task *task;             /* who is parked on it; NULL before and after */
    void (*cancel)(wait *); /* stop early; called at most once, and must lead to wait_done. May be NULL:
                               then the operation runs to its end first */
    int (*finish)(lua_State *, wait *); /* in the task, after wait_done, unless cancelled */
    const char *what;                   /* for listings: "ssh.run web1"; static or owned by the operation */
    bool done;
    bool cancelled;
};

/* Pushes a zeroed userdata of `size` bytes whose first member is a wait. Memory that must outlive a raise
 * belongs to it: give it a __gc by setting a metatable. It stays referenced while the task is parked. */
void *wait_new(lua_State *L, size_t size, void (*cancel)(wait *), int (*finish)(lua_State *, wait *));

/* Parks the running task on the wait whose userdata is on top of the stack. */
int wait_park(lua_State *L, wait *operation);

/* The operation has ended and all its handles are closed. Safe from any libuv callback and before wait_park;
 * a second call does nothing. */
void wait_done(wait *operation);

/* Adds waiting functions to the table on top of the stack; plain functions are added with luaL_register. */
void task_register(lua_State *L, const luaL_Reg *functions);

/* The same for functions that a cancelled task may call as well: what they wait for has no `cancel`. */
void task_register_shielded(lua_State *L, const luaL_Reg *functions);

/* Raises the task's cancellation if it has one. Long computations in C call it between their parts. */
void task_checkpoint(lua_State *L);

/* True while the running task has an effect open: the only time a module's C half may touch the outside. */
bool task_in_effect(void);

/* Milliseconds left to the running task's deadline, or -1 without one. */
int64_t task_time_left(void);

uv_loop_t *task_loop(void);

/* Runs the function below the `arguments` values on top of the stack as the root task, until it and all its
 * tasks have ended. Leaves its error table on the stack and returns false, or `results` results and returns
 * true. */
bool task_run_root(lua_State *L, int arguments, int results);

/* Hands a signal that has come on to the task that it is for. The loop does so between two of its turns. */
void task_deliver_signals(void);

/* True once the root task was interrupted: the exit status is 130 whatever the playbook made of it. */
bool task_interrupted(void);

/* Pushes a table: spawn spawn_shielded join join_shielded cancel checkpoint sleep pause bell ring rings
 * listen read_stream write_stream hold_stream is_stream context time_left foreground tree interrupt
 * interrupted threads hold_deadlines release_deadlines effect_begin effect_end. */
int task_open(lua_State *L);

/* Closes what the scheduler holds; the loop must have no running task. */
void task_close(void);

#endif
