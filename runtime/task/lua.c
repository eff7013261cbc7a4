/* Tasks as the prelude sees them: how waiting functions are made, and spawn, join, cancel, context. */
#include "base/effect.h"
#include "base/error.h"
#include "base/long_work.h"
#include "task/bell.h"
#include "task/interrupt.h"
#include "task/preempt.h"
#include "task/scheduler.h"
#include "task/sleep.h"
#include "task/stream.h"

#include <string.h>

static task *check_task(lua_State *L, int index) {
    return luaL_checkudata(L, index, TASK_TYPE);
}

/* ---- joining ---- */

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
    task_let_go(child);
    return failed ? lua_error(L) : results;
}

/* The child's error tells more than the parent's when both were cancelled for one reason; otherwise it is the
 * cause. */
static int settle_cancelled_join(lua_State *L, task *t, task *child) {
    if (!child->failed || t->raised > TASK_MOST_RAISED)
        return task_stop_if_cancelled(L, t);
    task_push_cancellation(L, t);
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

static void cancel_join(wait *w) {
    join_wait *join = (join_wait *)w;
    lua_State *L = scheduler.lua;
    if (join->child->shielded)
        return;
    task_push_cancellation(L, w->task);
    task_cancel(L, join->child);
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

/* ---- functions that wait ---- */

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
        return task_stop_if_cancelled(L, t);
    return w->finish(L, w);
}

static int checkpoint(lua_State *L) {
    return task_stop_if_cancelled(L, scheduler.running);
}

/* before_wait(shielded): nothing has begun yet, so this is the place to refuse. */
static int before_wait(lua_State *L) {
    if (!lua_isyieldable(L))
        error_raise(L, "usage",
                    "this call waits, and that cannot be done in a function which table.sort, string.gsub "
                    "or another function of Lua calls");
    return lua_toboolean(L, 1) ? 0 : task_stop_if_cancelled(L, scheduler.running);
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

void task_register_shielded(lua_State *L, const luaL_Reg *functions) {
    for (; functions->name; functions++)
        register_waiting(L, functions->name, functions->func, true);
}

/* ---- the rest of the face ---- */

/* spawn(seconds or nil, fn, ...) -> task */
static int lua_spawn(lua_State *L) {
    double seconds = lua_isnil(L, 1) ? -1 : sleep_check_seconds(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    task_checkpoint(L);
    task_spawn(L, 2, seconds, false);
    return 1;
}

/* shield(seconds, fn, ...) -> task that its parent's cancellation does not reach */
static int lua_spawn_shielded(lua_State *L) {
    double seconds = sleep_check_seconds(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    task_spawn(L, 2, seconds, true);
    return 1;
}

/* cancel(task, message, code): the task raises this at its wait; code is "cancelled" when it is not given. */
static int lua_cancel(lua_State *L) {
    task *t = check_task(L, 1);
    error_push(L, luaL_optstring(L, 3, "cancelled"), "%s", luaL_optstring(L, 2, "cancelled"));
    task_cancel(L, t);
    return 0;
}

/* foreground(task or nil) -> what was it before: Ctrl-C cancels that task instead of the root, until it has
 * ended. */
static int lua_foreground(lua_State *L) {
    task *before = scheduler.foreground, *t = lua_isnoneornil(L, 1) ? NULL : check_task(L, 1);
    if (before)
        lua_rawgeti(L, LUA_REGISTRYINDEX, before->self_ref);
    else
        lua_pushnil(L);
    task_set_foreground(t);
    return 1;
}

/* The innermost place in code that people write: "file.lua:12". Pushes it, or nil. */
static void push_place(lua_State *L, lua_State *thread) {
    lua_Debug frame;
    for (int level = 0; lua_getstack(thread, level, &frame); level++) {
        lua_getinfo(thread, "Sl", &frame);
        if (strncmp(frame.source, "=hostler:", strlen("=hostler:")) != 0 && frame.currentline > 0) {
            lua_pushfstring(L, "%s:%d", frame.source + 1, frame.currentline);
            return;
        }
    }
    lua_pushnil(L);
}

/* Pushes { task, context, waits_for, place, children } of t; a context nobody set anything in is empty. */
static void push_tree(lua_State *L, task *t) {
    luaL_checkstack(L, 8, "tasks are nested too deeply");
    lua_createtable(L, 0, 5);
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->self_ref);
    lua_setfield(L, -2, "task");
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->context_ref);
    lua_setfield(L, -2, "context");
    lua_pushstring(L, t->waiting ? t->waiting->what : NULL);
    lua_setfield(L, -2, "waits_for");
    push_place(L, t->thread);
    lua_setfield(L, -2, "place");
    lua_newtable(L);
    for (task *child = t->first_child; child; child = child->next_sibling) {
        if (child->state == TASK_DONE || child == scheduler.running)
            continue;
        push_tree(L, child);
        lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
    }
    lua_setfield(L, -2, "children");
}

/* tree() -> the tasks there are, from the root, without the one that asks; the last started first. */
static int lua_tree(lua_State *L) {
    if (!scheduler.root)
        return 0;
    push_tree(L, scheduler.root);
    return 1;
}

/* threads(task or nil) -> the coroutines of the task (the running one) and of its ancestors, innermost first
 */
static int lua_threads(lua_State *L) {
    task *t = lua_isnoneornil(L, 1) ? scheduler.running : check_task(L, 1);
    lua_newtable(L);
    for (int count = 0; t && t->thread_ref != LUA_NOREF; t = t->parent) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, t->thread_ref);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* hold_deadlines(): those of the running task and its ancestors wait until release_deadlines() is called as
 * often. */
static int lua_hold_deadlines(lua_State *L) {
    (void)L;
    task_hold_deadlines();
    return 0;
}

static int lua_release_deadlines(lua_State *L) {
    (void)L;
    task_release_deadlines();
    return 0;
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
    effect_set_open(true);
    return 0;
}

static int lua_effect_end(lua_State *L) {
    (void)L;
    scheduler.running->effects--;
    effect_set_open(scheduler.running->effects > 0);
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

/* interrupt(reason): does what a first Ctrl-C does. */
static int lua_interrupt(lua_State *L) {
    task_interrupt(luaL_checkstring(L, 1), false);
    return 0;
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
        {"bell", bell_new_lua},
        {"ring", bell_ring_lua},
        {"rings", bell_rings_lua},
        {"context", lua_context},
        {"foreground", lua_foreground},
        {"tree", lua_tree},
        {"time_left", lua_time_left},
        {"effect_begin", lua_effect_begin},
        {"effect_end", lua_effect_end},
        {"checkpoint", checkpoint},
        {"hold_stream", stream_hold_lua},
        {"is_stream", stream_is_lua},
        {"interrupt", lua_interrupt},
        {"interrupted", lua_interrupted},
        {"threads", lua_threads},
        {"hold_deadlines", lua_hold_deadlines},
        {"release_deadlines", lua_release_deadlines},
        {NULL, NULL},
    };
    static const luaL_Reg waiting[] = {{"join", lua_join},
                                       {"sleep", sleep_lua},
                                       {"listen", bell_listen_lua},
                                       {"read_stream", stream_read_lua},
                                       {"write_stream", stream_write_lua},
                                       {NULL, NULL}};
    if (!task_scheduler_open(L))
        return luaL_error(L, "no event loop");
    luaL_newmetatable(L, TASK_TYPE);
    lua_pop(L, 1);
    if (luaL_loadbuffer(L, register_source, sizeof register_source - 1, "=hostler:task"))
        lua_error(L);
    lua_pushcfunction(L, before_wait);
    lua_pushcfunction(L, settle);
    lua_call(L, 2, 1);
    scheduler.settle_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    stream_open(L);
    lua_newtable(L);
    luaL_register(L, NULL, plain);
    task_register(L, waiting);
    register_waiting(L, "join_shielded", lua_join, true);
    register_waiting(L, "pause", sleep_pause_lua, true);
    interrupt_open(&scheduler.loop, preempt_hook);
    long_work_ask(preempt_must_end, task_checkpoint);
    return 1;
}
