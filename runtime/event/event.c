/* Scrubs events, numbers their scopes, and hands them to the report. */
#include "event/event.h"

#include "base/clock.h"
#include "base/hidden.h"
#include "base/scrub.h"
#include "task/task.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 100

static const char *const names[EVENT_TYPES + 1] = {
    [EVENT_RUN_BEGIN] = "run.begin",
    [EVENT_RUN_END] = "run.end",
    [EVENT_GROUP_BEGIN] = "group.begin",
    [EVENT_GROUP_END] = "group.end",
    [EVENT_ITEM_BEGIN] = "item.begin",
    [EVENT_ITEM_END] = "item.end",
    [EVENT_STEP_BEGIN] = "step.begin",
    [EVENT_STEP_END] = "step.end",
    [EVENT_EFFECT_BEGIN] = "effect.begin",
    [EVENT_EFFECT_END] = "effect.end",
    [EVENT_PLAN] = "plan",
    [EVENT_SAY] = "say",
    [EVENT_WARN] = "warn",
    [EVENT_WAIT] = "wait",
};

static report *current;
static uint64_t last_scope;
static uv_timer_t ticker;
static bool ticker_made;

const char *event_name(event_type type) {
    return names[type];
}

static void on_tick(uv_timer_t *timer) {
    (void)timer;
    if (current && current->tick)
        current->tick(current);
}

/* The clock of live reports runs only between the begin and the end of a run, and keeps no loop alive. */
static void set_ticking(bool on) {
    if (!ticker_made && (!on || !current || !current->tick))
        return;
    if (!ticker_made)
        uv_timer_init(task_loop(), &ticker);
    ticker_made = true;
    uv_unref((uv_handle_t *)&ticker);
    if (on)
        uv_timer_start(&ticker, on_tick, TICK_MS, TICK_MS);
    else
        uv_timer_stop(&ticker);
}

void event_set_report(report *r) {
    set_ticking(false);
    if (current)
        current->close(current);
    current = r;
}

static char *scrubbed(const char *text) {
    return text ? scrub(text, strlen(text), NULL) : NULL;
}

void event_emit(const event *given) {
    if (!current)
        return;
    char *name = scrubbed(given->name), *target = scrubbed(given->target);
    char *text = scrubbed(given->text), *detail = scrubbed(given->detail), *data = scrubbed(given->data);
    event e = *given;
    e.name = name, e.target = target, e.text = text, e.detail = detail, e.data = data;
    if (e.at == 0)
        e.at = clock_now();
    if (e.type == EVENT_RUN_BEGIN)
        set_ticking(true);
    current->event(current, &e);
    if (e.type == EVENT_RUN_END)
        set_ticking(false);
    free(name);
    free(target);
    free(text);
    free(detail);
    free(data);
}

void event_suspend(void) {
    if (current && current->suspend)
        current->suspend(current);
}

void event_resume(void) {
    if (current && current->resume)
        current->resume(current);
}

/* The text of a field, its NULs spelled out. What holds it stays on the stack, so that it stays alive. */
static const char *text_field(lua_State *L, const char *field) {
    size_t length = 0;
    lua_getfield(L, 2, field);
    const char *text = hidden_shown(L, -1, &length);
    if (!text || !memchr(text, '\0', length))
        return text;
    const char *end = text + length;
    luaL_Buffer whole;
    luaL_buffinit(L, &whole);
    for (const char *at = text; at < end; at += strlen(at) + 1) {
        luaL_addstring(&whole, at);
        if (at + strlen(at) < end)
            luaL_addstring(&whole, "\\x00");
    }
    luaL_pushresult(&whole);
    return lua_tostring(L, -1);
}

static double number_field(lua_State *L, const char *field, double otherwise) {
    lua_getfield(L, 2, field);
    double value = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : otherwise;
    lua_pop(L, 1);
    return value;
}

/* Hands the event of the type at index 1 and the fields at index 2 to the report. */
static int emit_fields(lua_State *L, uint64_t new_scope) {
    event e = {
        .type = luaL_checkoption(L, 1, NULL, names),
        .scope = new_scope ? new_scope : (uint64_t)number_field(L, "scope", 0),
        .at = number_field(L, "at", 0),
        .parent = (uint64_t)number_field(L, "parent", 0),
        .seconds = number_field(L, "seconds", -1),
        .count = (long)number_field(L, "count", -1),
        .name = text_field(L, "name"),
        .kind = text_field(L, "kind"),
        .target = text_field(L, "target"),
        .text = text_field(L, "text"),
        .status = text_field(L, "status"),
        .detail = text_field(L, "detail"),
        .data = text_field(L, "data"),
    };
    event_emit(&e);
    lua_pushnumber(L, (double)e.scope);
    return 1;
}

/* Calls the listeners of the table at index 3 with the type, the scope on top of the stack, and the fields.
 */
static void tell_listeners(lua_State *L) {
    int scope = lua_gettop(L);
    for (int i = 1; i <= (int)lua_objlen(L, 3); i++) {
        lua_rawgeti(L, 3, i);
        lua_pushvalue(L, 1);
        lua_pushvalue(L, scope);
        lua_pushvalue(L, 2);
        lua_call(L, 3, 0);
    }
}

/* emit(type, fields) -> scope. A begin gets a new scope number; other events name theirs in fields.scope. */
static int emit_lua(lua_State *L) {
    const char *type = names[luaL_checkoption(L, 1, NULL, names)];
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_pushvalue(L, lua_upvalueindex(1));
    emit_fields(L, strstr(type, ".begin") ? ++last_scope : 0);
    tell_listeners(L);
    return 1;
}

/* Of the listeners (the first upvalue), the one that subscribe_lua took (the second) goes. */
static int leave_lua(lua_State *L) {
    int listeners = lua_upvalueindex(1), count = (int)lua_objlen(L, listeners), at = 1;
    for (; at <= count; at++) {
        lua_rawgeti(L, listeners, at);
        bool found = lua_rawequal(L, -1, lua_upvalueindex(2));
        lua_pop(L, 1);
        if (found)
            break;
    }
    for (; at <= count; at++) {
        lua_rawgeti(L, listeners, at + 1);
        lua_rawseti(L, listeners, at);
    }
    return 0;
}

/* show(type, fields): an event of the past, with its own scope number and time. */
static int show_lua(lua_State *L) {
    luaL_checktype(L, 2, LUA_TTABLE);
    emit_fields(L, 0);
    return 0;
}

static int suspend_lua(lua_State *L) {
    (void)L;
    event_suspend();
    return 0;
}

static int resume_lua(lua_State *L) {
    (void)L;
    event_resume();
    return 0;
}

/* subscribe(listener) -> leave: from now on calls listener(type, scope, fields) after each event that is
 * emitted here, in the order of subscription; leave() ends that. */
static int subscribe_lua(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    lua_rawseti(L, 2, (int)lua_objlen(L, 2) + 1);
    lua_pushcclosure(L, leave_lua, 2);
    return 1;
}

static void add(lua_State *L, const char *name, lua_CFunction function) {
    lua_pushvalue(L, -2); /* the listeners */
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, -2, name);
}

int event_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"show", show_lua}, {"suspend", suspend_lua}, {"resume", resume_lua}, {NULL, NULL}};
    last_scope = 0;
    ticker_made = false; /* it was another loop's */
    lua_newtable(L);     /* the listeners */
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    add(L, "emit", emit_lua);
    add(L, "subscribe", subscribe_lua);
    lua_remove(L, -2);
    return 1;
}
