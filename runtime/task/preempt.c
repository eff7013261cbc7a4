/* What a tick does to the running task; see preempt.h. */
#include "task/preempt.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "task/scheduler.h"

#include <string.h>

#define STARVING 100               /* milliseconds that a task runs without a wait */
#define GRACE_INSTRUCTIONS 1000000 /* some 10 ms */
#define LEAST_OWN_INSTRUCTIONS 64  /* until it is looked again whether own code has ended */
#define OWN_CODE_PATIENCE 300      /* milliseconds of a function of C */
#define OWN_CODE "=hostler:"       /* how the chunks that are embedded in the binary are named */

static bool belongs_to(const task *t, const task *ancestor) {
    while (t && t != ancestor)
        t = t->parent;
    return t != NULL;
}

/* A task in the background that does not let the foreground answer to Ctrl-C is meant too. */
static void cancel_if_starving(lua_State *L) {
    task *running = scheduler.running;
    if (!scheduler.unanswered || clock_milliseconds() - scheduler.resumed < STARVING ||
        belongs_to(scheduler.foreground, running))
        return;
    scheduler.unanswered = false;
    error_push(L, "cancelled", "interrupted (Ctrl-C)");
    task_cancel(L, running);
    lua_pop(L, 1);
}

static bool is_own_code(lua_State *L, lua_Debug *frame) {
    return lua_getinfo(L, "S", frame) && strncmp(frame->source, OWN_CODE, sizeof OWN_CODE - 1) == 0;
}

/* Own code needs little, and may be recording what has been done: it goes on in what is kept for it. */
static void check_memory(lua_State *L, lua_Debug *frame) {
    if (!memory_check(L) || is_own_code(L, frame))
        return;
    error_push_memory(L);
    error_complete(L); /* here the place is known to the line */
    lua_error(L);
}

/* How many instructions of own code pass until the next look: now more, now fewer, so that no loop has
 * people's code always in between. One by one, own code would take a hundred times as long. */
static int own_instructions(void) {
    static unsigned looks;
    return LEAST_OWN_INSTRUCTIONS + (int)(++looks * 37 % LEAST_OWN_INSTRUCTIONS);
}

/* Lua has computed for long without a wait, or needs much memory. A cancellation is raised, but not in the
 * middle of hostler's own code, which may be recording what has been done and never computes for long. The
 * task may catch what is raised: then it comes again a little later, without waiting for a tick. */
void preempt_hook(lua_State *L, lua_Debug *frame) {
    lua_sethook(L, NULL, 0, 0);
    task_deliver_signals();
    task_apply_deadlines(L);
    cancel_if_starving(L);
    if (!task_is_cancelled(scheduler.running)) {
        check_memory(L, frame);
        return;
    }
    bool own_code = is_own_code(L, frame);
    lua_sethook(L, preempt_hook, LUA_MASKCOUNT, own_code ? own_instructions() : GRACE_INSTRUCTIONS);
    if (!own_code)
        task_stop_if_cancelled(L, scheduler.running);
}

/* Who called cannot always be seen: a function that returns what this one returns has left the stack. What
 * own code asks for is never long. */
bool preempt_must_end(lua_State *L, unsigned long times) {
    lua_Debug frame;
    task_deliver_signals();
    task_apply_deadlines(L);
    cancel_if_starving(L);
    if (!task_is_cancelled(scheduler.running))
        return false;
    bool by_own_code = lua_getstack(L, 1, &frame) && is_own_code(L, &frame);
    return !by_own_code || times > OWN_CODE_PATIENCE;
}
