/* Scrubs events, numbers their scopes, and hands them to the report. */
#include "report/event.h"

#include "base/clock.h"
#include "base/hidden.h"
#include "base/scrub.h"
#include "task/task.h"

#include <lauxlib.h>
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

static const char *text_field(lua_State *L, const char *field) {
    lua_getfield(L, 2, field); /* stays on the stack, so the text stays alive */
    return hidden_shown(L, -1, NULL);
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

/* emit(type, fields) -> scope. A begin gets a new scope number; other events name theirs in fields.scope. */
static int emit_lua(lua_State *L) {
    const char *type = names[luaL_checkoption(L, 1, NULL, names)];
    luaL_checktype(L, 2, LUA_TTABLE);
    return emit_fields(L, strstr(type, ".begin") ? ++last_scope : 0);
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

/* report(kind, verbosity): shows events from now on as "tree", "plain", "json" or "prompt"; "none" shows
 * nothing. */
static int report_lua(lua_State *L) {
    static const char *const kinds[] = {"tree", "plain", "json", "prompt", "none", NULL};
    int verbosity = (int)luaL_optinteger(L, 2, 0);
    switch (luaL_checkoption(L, 1, NULL, kinds)) {
    case 0:
        event_set_report(report_tree_new(stdout, verbosity));
        break;
    case 1:
        event_set_report(report_plain_new(stdout, verbosity));
        break;
    case 2:
        event_set_report(report_json_new(stdout));
        break;
    case 3:
        event_set_report(report_prompt_new(stdout, verbosity));
        break;
    default:
        event_set_report(NULL);
    }
    return 0;
}

int event_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"emit", emit_lua},       {"show", show_lua},
                                         {"suspend", suspend_lua}, {"resume", resume_lua},
                                         {"report", report_lua},   {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
