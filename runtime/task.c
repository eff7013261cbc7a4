/* The scheduler: a run queue of coroutines, and the rules by which tasks own, wait for and cancel each other.
 *
 * libuv callbacks never run Lua: they mark a wait done, which queues its task; the loop below resumes queued
 * tasks between two turns of libuv. The order of the queue is the order of completion. */
#include "task.h"

#include "error.h"
#include "interrupt.h"

#include <stdlib.h>
#include <string.h>

#define TASK_TYPE "hostler.task"
#define DEEPEST 80     /* tasks within tasks: a context looks its values up through as many parents */
#define MOST_RAISED 30 /* cancellations that a task may catch before it is abandoned */
#define LONGEST 1e9    /* seconds */

typedef enum { TASK_LIVE, TASK_CLOSING, TASK_DONE } task_state;

struct task {
    lua_State *thread;
    task *parent, *first_child, *next_sibling, **sibling_link;
    task *next_ready;
    wait *waiting;
    wait *joiner;
    uv_timer_t *timer;
    uint64_t deadline; /* in milliseconds of uv_hrtime; 0 is none */
    double seconds;    /* what it was given, where the deadline is its own */
    int self_ref, thread_ref, context_ref, wait_ref;
    int cancel_ref; /* the error that every wait of a cancelled task raises */
    int effects;    /* how many effects it has open */
    int depth, live_children, raised;
    task_state state;
    bool queued, started, failed, joined, shielded, abandoned;
};

static struct {
    uv_loop_t loop;
    lua_State *lua;
    task *ready_first, **ready_last;
    task *root, *running;
    bool open, interrupted;
    int settle_ref;
} scheduler;

static uint64_t now_ms(void) {
    return uv_hrtime() / 1000000;
}

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

/* Pushes a copy of the cancellation: each task adds its own traceback to the error it raises. */
static void push_cancellation(lua_State *L, const task *t) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->cancel_ref);
    lua_getfield(L, -1, "code");
    lua_getfield(L, -2, "message");
    error_push(L, lua_tostring(L, -2), "%s", lua_tostring(L, -1));
    lua_getfield(L, -4, "hint");
    lua_setfield(L, -2, "hint");
    lua_replace(L, -4);
    lua_pop(L, 2);
}

/* Cancels t with the error on top of L's stack, which stays there. */
static void cancel(lua_State *L, task *t) {
    if (t->state == TASK_DONE || t->cancel_ref != LUA_NOREF)
        return;
    lua_pushvalue(L, -1);
    t->cancel_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    if (t->state == TASK_CLOSING) {
        for (task *child = t->first_child; child; child = child->next_sibling)
            if (!child->shielded)
                cancel(L, child);
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

static void cancel_children(lua_State *L, task *t, const char *message) {
    error_push(L, "cancelled", "%s", message);
    for (task *child = t->first_child; child; child = child->next_sibling)
        if (!child->shielded)
            cancel(L, child);
    lua_pop(L, 1);
}

static bool is_cancelled(const task *t) {
    return t && t->cancel_ref != LUA_NOREF;
}

static void raise_if_cancelled(lua_State *L, const task *t) {
    if (!is_cancelled(t))
        return;
    push_cancellation(L, t);
    lua_error(L);
}

/* The same where the caller can return what this returns. A task that catches its cancellation again and
 * again would never end: it is abandoned, by a yield from which nothing resumes it. */
static int stop_if_cancelled(lua_State *L, task *t) {
    if (is_cancelled(t) && ++t->raised > MOST_RAISED && lua_isyieldable(L)) {
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

static void free_timer(uv_handle_t *handle) {
    free(handle);
}

static void expire(lua_State *L, task *t) {
    error_push(L, "timeout", "timed out after %g s", t->seconds);
    cancel(L, t);
    lua_pop(L, 1);
}

static void on_deadline(uv_timer_t *timer) {
    expire(scheduler.lua, timer->data);
}

/* The parent's deadline, or `seconds` from now where that is earlier. What shields a task from its parent's
 * cancellation shields it from its parent's deadline too. */
static void set_deadline(lua_State *L, task *t, double seconds) {
    uint64_t inherited = t->parent && !t->shielded ? t->parent->deadline : 0;
    t->deadline = inherited;
    if (seconds < 0)
        return;
    uint64_t milliseconds = (uint64_t)(seconds * 1000), own = now_ms() + milliseconds;
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
    uv_timer_start(t->timer, on_deadline, milliseconds, 0);
}

static void clear_deadline(task *t) {
    if (t->timer)
        uv_close((uv_handle_t *)t->timer, free_timer);
    t->timer = NULL;
}

int64_t task_time_left(void) {
    if (!scheduler.running || !scheduler.running->deadline)
        return -1;
    int64_t left = (int64_t)(scheduler.running->deadline - now_ms());
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

/* Starts a task for the function at `function` with the arguments above it; pushes its handle. */
static task *spawn(lua_State *L, int function, double seconds, bool shielded) {
    task *parent = scheduler.running;
    if (parent && parent->depth >= DEEPEST)
        error_raise(L, "usage", "tasks are nested more than %d deep: does a function start itself again?",
                    DEEPEST);
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
    enqueue(t);
    return t;
}

static void task_free_references(task *t) {
    lua_State *L = scheduler.lua;
    luaL_unref(L, LUA_REGISTRYINDEX, t->context_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, t->cancel_ref);
    t->cancel_ref = LUA_NOREF;
}

/* The parent forgets a task that has ended. Until then its memory must stay: the parent's list leads there.
 */
static void let_go(task *child) {
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
        let_go(child);
    }
}

static void end_if_childless(task *t) {
    if (t->state != TASK_CLOSING || t->live_children > 0)
        return;
    adopt_failure(t);
    release_children(t);
    clear_deadline(t);
    t->state = TASK_DONE;
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
        cancel_children(t->thread, t, "cancelled: the task that started this one failed");
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
            push_cancellation(t->thread, t);
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
    interrupt_watch(t->thread);
    int status = lua_resume(t->thread, arguments);
    interrupt_watch(NULL);
    scheduler.running = NULL;
    if (t->abandoned)
        push_cancellation(t->thread, t);
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
    task *root = spawn(L, lua_gettop(L) - arguments, -1, false);
    scheduler.root = root;
    scheduler.interrupted = false;
    interrupt_deliver();
    while (root->state != TASK_DONE) {
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
    let_go(root);
    lua_remove(L, -(ok ? results : 1) - 1); /* the handle */
    return ok;
}

void task_interrupt(const char *reason) {
    scheduler.interrupted = true;
    if (!scheduler.root)
        return;
    error_push(scheduler.lua, "cancelled", "%s", reason);
    cancel(scheduler.lua, scheduler.root);
    lua_pop(scheduler.lua, 1);
}

bool task_interrupted(void) {
    return scheduler.interrupted;
}

/* From the interpreter's hook: Lua has computed for long without a wait. Expired deadlines of the task and
 * its ancestors are applied; then the task's cancellation, if it has one, is raised, but not in the middle of
 * hostler's own code, which may be recording what has been done and never computes for long. */
bool task_poll(lua_State *L, bool own_code) {
    uint64_t now = now_ms();
    for (task *t = scheduler.running; t; t = t->parent)
        if (t->timer && t->deadline <= now)
            expire(L, t);
    if (own_code || !is_cancelled(scheduler.running))
        return is_cancelled(scheduler.running);
    interrupt_again(L);
    stop_if_cancelled(L, scheduler.running);
    return false;
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

typedef struct {
    wait wait;
    task *child;
} join_wait;

static int finish_join(lua_State *L, wait *w) {
    task *child = ((join_wait *)w)->child;
    bool failed = child->failed;
    int results = failed ? 1 : lua_gettop(child->thread);
    luaL_checkstack(L, results + 2, "too many results");
    child->joined = true;
    lua_xmove(child->thread, L, results);
    let_go(child);
    return failed ? lua_error(L) : results;
}

/* The child's error tells more than the parent's when both were cancelled for one reason; otherwise it is the
 * cause. */
static int settle_cancelled_join(lua_State *L, task *t, task *child) {
    if (!child->failed || t->raised > MOST_RAISED)
        return stop_if_cancelled(L, t);
    push_cancellation(L, t);
    lua_pushvalue(child->thread, -1);
    lua_xmove(child->thread, L, 1);
    lua_getfield(L, -1, "code");
    lua_getfield(L, -3, "code");
    bool same = lua_equal(L, -1, -2);
    lua_pop(L, 2);
    t->raised++;
    child->joined = true;
    if (!same)
        lua_setfield(L, -2, "cause");
    return lua_error(L);
}

/* settle(...): what a waiting function's start returned. After a park that is the wait: finish it. */
static int settle(lua_State *L) {
    task *t = scheduler.running;
    wait *w = t ? t->waiting : NULL;
    if (!w || lua_touserdata(L, 1) != w)
        return lua_gettop(L);
    t->waiting = NULL;
    w->task = NULL;
    if (w->cancelled && w->finish == finish_join)
        return settle_cancelled_join(L, t, ((join_wait *)w)->child);
    if (w->cancelled)
        return stop_if_cancelled(L, t);
    return w->finish(L, w);
}

static int checkpoint(lua_State *L) {
    return stop_if_cancelled(L, scheduler.running);
}

/* before_wait(shielded): nothing has begun yet, so this is the place to refuse. */
static int before_wait(lua_State *L) {
    if (!lua_isyieldable(L))
        error_raise(L, "usage",
                    "this call waits, and that cannot be done in a function which table.sort, string.gsub "
                    "or another function of Lua calls");
    return lua_toboolean(L, 1) ? 0 : stop_if_cancelled(L, scheduler.running);
}

/* A C function cannot run again after it yielded, so a Lua closure around it does the rest. */
static const char register_source[] =
    "local before_wait, settle = ...\n"
    "return function(start, shielded)\n"
    "  return function(...) before_wait(shielded) return settle(start(...)) end\n"
    "end\n";

static void register_waiting(lua_State *L, const char *name, lua_CFunction start, bool shielded) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, scheduler.settle_ref);
    lua_pushcfunction(L, start);
    lua_pushboolean(L, shielded);
    lua_call(L, 2, 1);
    lua_setfield(L, -2, name);
}

void task_register(lua_State *L, const luaL_Reg *functions) {
    for (; functions->name; functions++)
        register_waiting(L, functions->name, functions->func, false);
}

bool task_in_effect(void) {
    return scheduler.running && scheduler.running->effects > 0;
}

/* ---- the Lua side ---- */

static task *check_task(lua_State *L, int index) {
    return luaL_checkudata(L, index, TASK_TYPE);
}

static double check_seconds(lua_State *L, int index) {
    double seconds = luaL_checknumber(L, index);
    if (!(seconds >= 0 && seconds < LONGEST))
        error_raise(L, "usage", "seconds must be a number from 0 up, not %g", seconds);
    return seconds;
}

/* spawn(seconds or nil, fn, ...) -> task */
static int lua_spawn(lua_State *L) {
    double seconds = lua_isnil(L, 1) ? -1 : check_seconds(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    raise_if_cancelled(L, scheduler.running);
    spawn(L, 2, seconds, false);
    return 1;
}

/* shield(seconds, fn, ...) -> task that its parent's cancellation does not reach */
static int lua_spawn_shielded(lua_State *L) {
    double seconds = check_seconds(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    spawn(L, 2, seconds, true);
    return 1;
}

static void cancel_join(wait *w) {
    join_wait *join = (join_wait *)w;
    lua_State *L = scheduler.lua;
    if (join->child->shielded)
        return;
    push_cancellation(L, w->task);
    cancel(L, join->child);
    lua_pop(L, 1);
}

/* join(task) -> its results; raises its error. */
static int lua_join(lua_State *L) {
    task *child = check_task(L, 1);
    if (child->parent != scheduler.running || child->joined || child->joiner)
        return luaL_error(L, "a task is joined once, by the task that started it");
    join_wait *join = wait_new(L, sizeof *join, cancel_join, finish_join);
    join->child = child;
    join->wait.what = "join";
    child->joiner = &join->wait;
    if (child->state == TASK_DONE)
        join->wait.done = true;
    lua_pushvalue(L, 1);
    lua_createtable(L, 1, 0); /* the wait keeps the task's handle alive */
    lua_insert(L, -2);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, -2);
    return wait_park(L, &join->wait);
}

/* cancel(task, message): the task raises "cancelled" at its wait. */
static int lua_cancel(lua_State *L) {
    task *t = check_task(L, 1);
    error_push(L, "cancelled", "%s", luaL_optstring(L, 2, "cancelled"));
    cancel(L, t);
    return 0;
}

typedef struct {
    wait wait;
    uv_timer_t timer;
} sleep_wait;

static void sleep_closed(uv_handle_t *handle) {
    wait_done(handle->data);
}

static void on_sleep_over(uv_timer_t *timer) {
    uv_close((uv_handle_t *)timer, sleep_closed);
}

static void cancel_sleep(wait *w) {
    uv_timer_t *timer = &((sleep_wait *)w)->timer;
    if (!uv_is_closing((uv_handle_t *)timer))
        uv_close((uv_handle_t *)timer, sleep_closed);
}

static int finish_nothing(lua_State *L, wait *w) {
    (void)L, (void)w;
    return 0;
}

/* sleep(seconds) */
static int lua_sleep(lua_State *L) {
    double seconds = check_seconds(L, 1);
    sleep_wait *s = wait_new(L, sizeof *s, cancel_sleep, finish_nothing);
    s->wait.what = "sleep";
    uv_timer_init(&scheduler.loop, &s->timer);
    s->timer.data = &s->wait;
    uv_update_time(&scheduler.loop);
    uv_timer_start(&s->timer, on_sleep_over, (uint64_t)(seconds * 1000 + 0.5), 0);
    return wait_park(L, &s->wait);
}

/* context() -> the running task's table of inherited values */
static int lua_context(lua_State *L) {
    if (!scheduler.running)
        return luaL_error(L, "no task runs");
    lua_rawgeti(L, LUA_REGISTRYINDEX, scheduler.running->context_ref);
    return 1;
}

static int lua_effect_begin(lua_State *L) {
    if (!scheduler.running)
        return luaL_error(L, "an effect needs a task");
    scheduler.running->effects++;
    return 0;
}

static int lua_effect_end(lua_State *L) {
    (void)L;
    scheduler.running->effects--;
    return 0;
}

/* time_left() -> seconds to the deadline, or nil */
static int lua_time_left(lua_State *L) {
    int64_t left = task_time_left();
    if (left < 0)
        return 0;
    lua_pushnumber(L, (double)left / 1000);
    return 1;
}

/* interrupted() -> true after a Ctrl-C */
static int lua_interrupted(lua_State *L) {
    lua_pushboolean(L, scheduler.interrupted);
    return 1;
}

int task_open(lua_State *L) {
    static const luaL_Reg plain[] = {
        {"spawn", lua_spawn},
        {"spawn_shielded", lua_spawn_shielded},
        {"cancel", lua_cancel},
        {"context", lua_context},
        {"time_left", lua_time_left},
        {"effect_begin", lua_effect_begin},
        {"effect_end", lua_effect_end},
        {"checkpoint", checkpoint},
        {"interrupted", lua_interrupted},
        {NULL, NULL},
    };
    static const luaL_Reg waiting[] = {{"join", lua_join}, {"sleep", lua_sleep}, {NULL, NULL}};
    memset(&scheduler, 0, sizeof scheduler);
    scheduler.lua = L;
    scheduler.ready_last = &scheduler.ready_first;
    scheduler.open = uv_loop_init(&scheduler.loop) == 0;
    luaL_newmetatable(L, TASK_TYPE);
    lua_pop(L, 1);
    if (luaL_loadbuffer(L, register_source, sizeof register_source - 1, "=hostler:task"))
        lua_error(L);
    lua_pushcfunction(L, before_wait);
    lua_pushcfunction(L, settle);
    lua_call(L, 2, 1);
    scheduler.settle_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    luaL_register(L, NULL, plain);
    task_register(L, waiting);
    register_waiting(L, "join_shielded", lua_join, true);
    interrupt_open(&scheduler.loop);
    return 1;
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
