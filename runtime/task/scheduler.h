/* The scheduler and what a task is made of: for this folder alone. task.h is its face for others, lua.c the
 * one for the prelude. */
#ifndef HOSTLER_TASK_SCHEDULER_H
#define HOSTLER_TASK_SCHEDULER_H

#include "task/task.h"

#define TASK_TYPE "hostler.task"
#define TASK_MOST_RAISED 30 /* cancellations that a task may catch before it is abandoned */

typedef enum { TASK_LIVE, TASK_CLOSING, TASK_DONE } task_state;

struct task {
    lua_State *thread;
    task *parent, *first_child, *next_sibling, **sibling_link;
    task *next_ready;
    wait *waiting;
    wait *joiner;
    uv_timer_t *timer;
    int64_t deadline; /* in clock_milliseconds(); 0 is none */
    double seconds;   /* what it was given, where the deadline is its own */
    int64_t held_at, held_deadline;
    int holds; /* how often its deadline was put off without being taken up again */
    int self_ref, thread_ref, context_ref, wait_ref;
    int cancel_ref; /* the error that every wait of a cancelled task raises */
    int effects;    /* how many effects it has open */
    int depth, live_children, raised;
    task_state state;
    bool queued, started, failed, joined, shielded, abandoned;
};

typedef struct {
    uv_loop_t loop;
    lua_State *lua;
    task *ready_first, **ready_last;
    task *root, *running;
    task *foreground; /* what Ctrl-C cancels instead of the root, or NULL */
    int tasks;        /* that have not ended */
    int64_t resumed;  /* when the running task was, in clock_milliseconds() */
    bool open, interrupted;
    bool unanswered; /* Ctrl-C has cancelled the foreground task, and no task has run since */
    int settle_ref;
} task_scheduler;

extern task_scheduler scheduler;

/* Makes the loop and the empty run queue. */
bool task_scheduler_open(lua_State *L);

/* Starts a task for the function at `function` with the arguments above it; pushes its handle. Negative
 * seconds: no deadline of its own. */
task *task_spawn(lua_State *L, int function, double seconds, bool shielded);

/* Cancels t with the error on top of L's stack, which stays there. */
void task_cancel(lua_State *L, task *t);

bool task_is_cancelled(const task *t);

/* Cancels those of the running task and its ancestors whose deadline is over. */
void task_apply_deadlines(lua_State *L);

/* Cancels the root task with code "cancelled"; when it is by Ctrl-C, the foreground task if there is one. */
void task_interrupt(const char *reason, bool by_ctrl_c);

/* Makes t what Ctrl-C cancels, until it has ended; NULL: the root again. */
void task_set_foreground(task *t);

/* Puts off the deadlines of the running task and its ancestors, for as long as a person looks at it. */
void task_hold_deadlines(void);
void task_release_deadlines(void);

/* Pushes a copy of the cancellation: each task adds its own traceback to the error it raises. */
void task_push_cancellation(lua_State *L, const task *t);

/* Raises t's cancellation, if it has one; the caller returns what this returns. A task that catches its
 * cancellation again and again would never end: it is abandoned, by a yield from which nothing resumes it. */
int task_stop_if_cancelled(lua_State *L, task *t);

/* The parent forgets a task that has ended. Until then its memory must stay: the parent's list leads there.
 */
void task_let_go(task *child);

#endif
