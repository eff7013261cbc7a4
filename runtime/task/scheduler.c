/* The scheduler: a run queue of coroutines, and the rules by which tasks own, wait for and cancel each other.
 *
 * libuv callbacks never run Lua: they mark a wait done, which queues its task; the loop below resumes queued
 * tasks between two turns of libuv. The order of the queue is the order of completion. */
#include "task/scheduler.h"

#include "base/clock.h"
#include "base/effect.h"
#include "base/error.h"
#include "base/memory.h"
#include "task/handle.h"
#include "task/interrupt.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define DEEPEST 80           /* tasks within tasks: a context looks its values up through as many parents */
#define TASKS_A_MEBIBYTE 100 /* of the memory there may be: more tasks at once leave too little of it */

task_scheduler scheduler;

uv_loop_t *task_loop(void) {
    return &scheduler.loop;
}

/* ---- the run queue ---- */

static void enqueue(task *t) {
    if (t->queued || t->state == TASK_DONE)
        return;
    t->queued = true;
    t->next_ready = NULL;
    *scheduler.ready_last = t;
    scheduler.ready_last = &t->next_ready;
    /* libuv before 1.45 runs due timers and then waits for I/O, in one uv_run: a task that a timer has made
     * ready must not wait for that. */
    if (!scheduler.running)
        uv_stop(&scheduler.loop);
}

static task *dequeue(void) {
    task *t = scheduler.ready_first;
    if (!t)
        return NULL;
    scheduler.ready_first = t->next_ready;
    if (!scheduler.ready_first)
        scheduler.ready_last = &scheduler.ready_first;
    t->queued = false;
    return t;
}

/* ---- the family tree ---- */

static void adopt(task *parent, task *child) {
    parent->live_children++;
    child->next_sibling = parent->first_child;
    if (child->next_sibling)
        child->next_sibling->sibling_link = &child->next_sibling;
    child->sibling_link = &parent->first_child;
    parent->first_child = child;
}

static void disown(task *child) {
    if (!child->sibling_link)
        return;
    *child->sibling_link = child->next_sibling;
    if (child->next_sibling)
        child->next_sibling->sibling_link = child->sibling_link;
    child->sibling_link = NULL;
}

/* ---- cancelling ---- */

void task_push_cancellation(lua_State *L, const task *t) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->cancel_ref);
    lua_getfield(L, -1, "code");
    lua_getfield(L, -2, "message");
    error_push(L, lua_tostring(L, -2), "%s", lua_tostring(L, -1));
    lua_getfield(L, -4, "hint");
    lua_setfield(L, -2, "hint");
    lua_replace(L, -4);
    lua_pop(L, 2);
}

void task_cancel(lua_State *L, task *t) {
    if (t->state == TASK_DONE || t->cancel_ref != LUA_NOREF)
        return;
    lua_pushvalue(L, -1);
    t->cancel_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    if (t->state == TASK_CLOSING) {
        for (task *child = t->first_child; child; child = child->next_sibling)
            if (!child->shielded)
                task_cancel(L, child);
        return;
    }
    if (!t->started)
        enqueue(t);
    wait *w = t->waiting;
    if (w && !w->done && !w->cancelled && w->cancel) {
        w->cancelled = true;
        w->cancel(w);
    }
}

/* Cancels a task's children for the reason on top of the stack, which is popped. */
static void cancel_children(lua_State *L, task *t) {
    for (task *child = t->first_child; child; child = child->next_sibling)
        if (!child->shielded)
            task_cancel(L, child);
    lua_pop(L, 1);
}

bool task_is_cancelled(const task *t) {
    return t && t->cancel_ref != LUA_NOREF;
}

static void raise_if_cancelled(lua_State *L, const task *t) {
    if (!task_is_cancelled(t))
        return;
    task_push_cancellation(L, t);
    lua_error(L);
}

int task_stop_if_cancelled(lua_State *L, task *t) {
    if (task_is_cancelled(t) && ++t->raised > TASK_MOST_RAISED && lua_isyieldable(L)) {
        t->abandoned = true;
        return lua_yield(L, 0);
    }
    raise_if_cancelled(L, t);
    return 0;
}

void task_checkpoint(lua_State *L) {
    raise_if_cancelled(L, scheduler.running);
}

/* ---- deadlines ---- */

static void expire(lua_State *L, task *t) {
    error_push(L, "timeout", "timed out after %g s", t->seconds);
    task_cancel(L, t);
    lua_pop(L, 1);
}

static void on_deadline(uv_timer_t *timer) {
    expire(scheduler.lua, timer->data);
}

void task_apply_deadlines(lua_State *L) {
    int64_t now = clock_milliseconds();
    for (task *t = scheduler.running; t; t = t->parent)
        if (t->timer && t->deadline && t->deadline <= now)
            expire(L, t);
}

/* The parent's deadline, or `seconds` from now where that is earlier. What shields a task from its parent's
 * cancellation shields it from its parent's deadline too. */
static void set_deadline(lua_State *L, task *t, double seconds) {
    int64_t inherited = t->parent && !t->shielded ? t->parent->deadline : 0;
    t->deadline = inherited;
    if (seconds < 0)
        return;
    int64_t milliseconds = (int64_t)(seconds * 1000), own = clock_milliseconds() + milliseconds;
    if (inherited && inherited <= own)
        return;
    t->timer = malloc(sizeof *t->timer);
    if (!t->timer)
        luaL_error(L, "out of memory");
    t->deadline = own;
    t->seconds = seconds;
    uv_timer_init(&scheduler.loop, t->timer);
    t->timer->data = t;
    uv_update_time(&scheduler.loop);
    uv_timer_start(t->timer, on_deadline, (uint64_t)milliseconds, 0);
}

static void clear_deadline(task *t) {
    handle_discard(t->timer);
    t->timer = NULL;
}

void task_hold_deadlines(void) {
    for (task *t = scheduler.running; t; t = t->parent) {
        if (t->holds++ > 0)
            continue;
        t->held_at = clock_milliseconds();
        t->held_deadline = t->deadline;
        t->deadline = 0;
        if (t->timer)
            uv_timer_stop(t->timer);
    }
}

void task_release_deadlines(void) {
    int64_t now = clock_milliseconds();
    uv_update_time(&scheduler.loop);
    for (task *t = scheduler.running; t; t = t->parent) {
        if (--t->holds > 0 || !t->held_deadline)
            continue;
        int64_t left = t->held_deadline > t->held_at ? t->held_deadline - t->held_at : 0;
        t->deadline = now + left;
        if (t->timer)
            uv_timer_start(t->timer, on_deadline, (uint64_t)left, 0);
    }
}

int64_t task_time_left(void) {
    if (!scheduler.running || !scheduler.running->deadline)
        return -1;
    int64_t left = scheduler.running->deadline - clock_milliseconds();
    return left > 0 ? left : 0;
}

/* ---- starting and ending ---- */

/* Gives the task a context table that falls back to its parent's. */
static void make_context(lua_State *L, task *t) {
    lua_newtable(L);
    if (t->parent) {
        lua_createtable(L, 0, 1);
        lua_rawgeti(L, LUA_REGISTRYINDEX, t->parent->context_ref);
        lua_setfield(L, -2, "__index");
        lua_setmetatable(L, -2);
    }
    t->context_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

task *task_spawn(lua_State *L, int function, double seconds, bool shielded) {
    task *parent = scheduler.running;
    if (parent && parent->depth >= DEEPEST)
        error_raise(L, "usage", "tasks are nested more than %d deep: does a function start itself again?",
                    DEEPEST);
    int most = (int)memory_most() * TASKS_A_MEBIBYTE;
    if (scheduler.tasks >= most)
        error_raise(L, "usage", "more than %d tasks at once: does a function start itself again?", most);
    int arguments = lua_gettop(L) - function;
    task *t = lua_newuserdata(L, sizeof *t);
    memset(t, 0, sizeof *t);
    luaL_getmetatable(L, TASK_TYPE);
    lua_setmetatable(L, -2);
    t->thread = lua_newthread(L);
    luaL_checkstack(t->thread, arguments + 4, "too many arguments");
    t->thread_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, -1);
    t->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    t->cancel_ref = t->wait_ref = LUA_NOREF;
    t->shielded = shielded;
    t->parent = parent;
    t->depth = parent ? parent->depth + 1 : 0;
    make_context(L, t);
    set_deadline(L, t, seconds);
    lua_insert(L, function);
    lua_xmove(L, t->thread, arguments + 1);
    if (parent)
        adopt(parent, t);
    scheduler.tasks++;
    enqueue(t);
    return t;
}

static void task_free_references(task *t) {
    lua_State *L = scheduler.lua;
    luaL_unref(L, LUA_REGISTRYINDEX, t->context_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, t->cancel_ref);
    t->cancel_ref = LUA_NOREF;
}

void task_let_go(task *child) {
    lua_State *L = scheduler.lua;
    disown(child);
    luaL_unref(L, LUA_REGISTRYINDEX, child->thread_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, child->self_ref);
    child->thread_ref = child->self_ref = LUA_NOREF;
}

/* An error of a child that nobody joined becomes the parent's. */
static void adopt_failure(task *t) {
    for (task *child = t->first_child; child && !t->failed; child = child->next_sibling) {
        if (!child->failed || child->joined)
            continue;
        lua_settop(t->thread, 0);
        lua_pushvalue(child->thread, -1);
        lua_xmove(child->thread, t->thread, 1);
        t->failed = true;
    }
}

static void release_children(task *t) {
    while (t->first_child) {
        task *child = t->first_child;
        child->parent = NULL;
        child->joined = true; /* too late for that: its results go now */
        task_let_go(child);
    }
}

static void end_if_childless(task *t) {
    if (t->state != TASK_CLOSING || t->live_children > 0)
        return;
    adopt_failure(t);
    release_children(t);
    clear_deadline(t);
    t->state = TASK_DONE;
    scheduler.tasks--;
    if (scheduler.foreground == t)
        task_set_foreground(NULL);
    if (t->joiner)
        wait_done(t->joiner);
    task *parent = t->parent;
    task_free_references(t);
    if (parent) {
        parent->live_children--;
        end_if_childless(parent);
    }
}

static void begin_closing(task *t, bool failed) {
    t->failed = failed;
    t->state = TASK_CLOSING;
    if (failed) {
        error_complete(t->thread);
        if (task_is_cancelled(t))
            task_push_cancellation(t->thread, t);
        else
            error_push(t->thread, "cancelled", "cancelled: the task that started this one failed");
        cancel_children(t->thread, t);
    }
    end_if_childless(t);
}

/* Resumes one task until it parks or ends. */
static void resume(task *t) {
    int arguments = 0;
    if (!t->started) {
        t->started = true;
        if (t->cancel_ref != LUA_NOREF) {
            lua_settop(t->thread, 0);
            task_push_cancellation(t->thread, t);
            begin_closing(t, true);
            return;
        }
        arguments = lua_gettop(t->thread) - 1;
    } else {
        lua_rawgeti(t->thread, LUA_REGISTRYINDEX, t->wait_ref);
        luaL_unref(t->thread, LUA_REGISTRYINDEX, t->wait_ref);
        t->wait_ref = LUA_NOREF;
        arguments = 1;
    }
    scheduler.running = t;
    effect_set_open(t->effects > 0);
    scheduler.resumed = clock_milliseconds();
    scheduler.unanswered = false;
    interrupt_watch(t->thread);
    memory_enforce(true);
    int status = lua_resume(t->thread, arguments);
    memory_enforce(false);
    interrupt_watch(NULL);
    scheduler.running = NULL;
    effect_set_open(false);
    if (t->abandoned)
        task_push_cancellation(t->thread, t);
    if (t->abandoned || status != LUA_YIELD)
        begin_closing(t, t->abandoned || status != 0);
}

/* Those that are ready now. What they make ready has to wait for a turn of libuv, or tasks that never wait
 * long would keep it from its timers and its closing handles. */
static void run_ready_tasks(void) {
    task **end = scheduler.ready_last;
    bool last = false;
    for (task *t; !last && (t = dequeue());) {
        last = &t->next_ready == end;
        resume(t);
    }
}

bool task_run_root(lua_State *L, int arguments, int results) {
    task *root = task_spawn(L, lua_gettop(L) - arguments, -1, false);
    scheduler.root = root;
    scheduler.interrupted = false;
    while (root->state != TASK_DONE) {
        task_deliver_signals();
        run_ready_tasks();
        uv_run_mode mode = scheduler.ready_first ? UV_RUN_NOWAIT : UV_RUN_ONCE;
        if (root->state != TASK_DONE && !uv_run(&scheduler.loop, mode) && !scheduler.ready_first)
            break;
    }
    scheduler.root = NULL;
    bool ok = root->state == TASK_DONE && !root->failed;
    if (root->state != TASK_DONE)
        error_push(root->thread, "internal", "every task waits and nothing is left that could wake one");
    if (ok)
        lua_settop(root->thread, results);
    lua_xmove(root->thread, L, ok ? results : 1);
    task_let_go(root);
    lua_remove(L, -(ok ? results : 1) - 1); /* the handle */
    return ok;
}

void task_set_foreground(task *t) {
    scheduler.foreground = t && t->state != TASK_DONE ? t : NULL;
    interrupt_forgive(scheduler.foreground != NULL);
}

void task_interrupt(const char *reason, bool by_ctrl_c) {
    task *foreground = by_ctrl_c ? scheduler.foreground : NULL;
    scheduler.interrupted = scheduler.interrupted || !foreground;
    scheduler.unanswered = foreground != NULL;
    if (!scheduler.root)
        return;
    error_push(scheduler.lua, "cancelled", "%s", reason);
    task_cancel(scheduler.lua, foreground ? foreground : scheduler.root);
    lua_pop(scheduler.lua, 1);
}

void task_deliver_signals(void) {
    int number = interrupt_take();
    if (number)
        task_interrupt(number == SIGINT    ? "interrupted (Ctrl-C)"
                       : number == SIGTERM ? "interrupted (SIGTERM)"
                                           : "interrupted (SIGHUP)",
                       number == SIGINT);
}

bool task_interrupted(void) {
    return scheduler.interrupted;
}

/* ---- waiting ---- */

void *wait_new(lua_State *L, size_t size, void (*on_cancel)(wait *), int (*finish)(lua_State *, wait *)) {
    wait *w = lua_newuserdata(L, size);
    memset(w, 0, size);
    w->cancel = on_cancel;
    w->finish = finish;
    w->what = "";
    return w;
}

int wait_park(lua_State *L, wait *operation) {
    task *t = scheduler.running;
    if (!t || t->thread != L)
        return luaL_error(L, "this call waits, and only a task can wait");
    t->wait_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    t->waiting = operation;
    operation->task = t;
    if (operation->done)
        enqueue(t);
    return lua_yield(L, 0);
}

void wait_done(wait *operation) {
    if (operation->done)
        return;
    operation->done = true;
    if (operation->task)
        enqueue(operation->task);
}

bool task_in_effect(void) {
    return effect_is_open();
}

/* ---- the loop's beginning and end ---- */

bool task_scheduler_open(lua_State *L) {
    memset(&scheduler, 0, sizeof scheduler);
    scheduler.lua = L;
    scheduler.ready_last = &scheduler.ready_first;
    scheduler.open = uv_loop_init(&scheduler.loop) == 0;
    return scheduler.open;
}

static void close_handle(uv_handle_t *handle, void *unused) {
    (void)unused;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void task_close(void) {
    if (!scheduler.open)
        return;
    interrupt_close();
    while (uv_run(&scheduler.loop, UV_RUN_DEFAULT)) /* stopped, but not at its end */
        ;
    if (uv_loop_close(&scheduler.loop) == UV_EBUSY) {
        uv_walk(&scheduler.loop, close_handle, NULL);
        uv_run(&scheduler.loop, UV_RUN_DEFAULT);
        uv_loop_close(&scheduler.loop);
    }
    scheduler.open = false;
}
