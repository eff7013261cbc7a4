/* See pattern_lua.h. */
#define _GNU_SOURCE /* memmem */
#include "base/pattern_lua.h"

#include "base/long_work.h"
#include "base/pattern.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#define PIECE 65536 /* bytes that are searched before the next question whether somebody waits */

typedef struct {
    const char *text, *pattern;
    size_t text_length, pattern_length;
} operands;

static operands check_operands(lua_State *L) {
    operands o;
    o.text = luaL_checklstring(L, 1, &o.text_length);
    o.pattern = luaL_checklstring(L, 2, &o.pattern_length);
    return o;
}

static void begin(pattern_match *m, lua_State *L, const operands *o) {
    pattern_begin(m, L, o->text, o->text_length, o->pattern + o->pattern_length);
}

static int push_values(lua_State *L, pattern_match *m, const char *from, const char *to) {
    int count = pattern_count_values(m);
    luaL_checkstack(L, count, "too many captures");
    for (int i = 0; i < count; i++)
        pattern_push_capture(m, i, from, to);
    return count;
}

/* ---- find and match ---- */

/* The third argument: where to begin, from the end where it is negative. */
static size_t check_beginning(lua_State *L, size_t length) {
    lua_Integer position = luaL_optinteger(L, 3, 1);
    if (position < 0)
        position += (lua_Integer)length + 1;
    if (position < 1)
        return 0;
    return (size_t)position - 1 < length ? (size_t)position - 1 : length;
}

static bool is_plain(const operands *o) {
    for (size_t i = 0; i < o->pattern_length; i++)
        if (o->pattern[i] && strchr("^$*+?.([%-", o->pattern[i]))
            return false;
    return true;
}

/* In pieces: of the text and, for they reach into one another, at least as long as what is searched for. */
static const char *find_in_pieces(long_work *work, const operands *o, size_t from) {
    size_t piece = o->pattern_length < PIECE ? PIECE : o->pattern_length;
    while (from < o->text_length) {
        size_t left = o->text_length - from, looked_at = piece + o->pattern_length - 1;
        looked_at = left < looked_at ? left : looked_at;
        const char *found = memmem(o->text + from, looked_at, o->pattern, o->pattern_length);
        if (found)
            return found;
        long_work_count(work, looked_at);
        from += piece < left ? piece : left;
    }
    return NULL;
}

static int find_plain(lua_State *L, const operands *o, size_t from) {
    long_work work = {.L = L};
    const char *found = o->pattern_length > 0 ? find_in_pieces(&work, o, from) : o->text + from;
    if (!found)
        return lua_pushnil(L), 1;
    lua_pushinteger(L, found - o->text + 1);
    lua_pushinteger(L, found - o->text + (lua_Integer)o->pattern_length);
    return 2;
}

static int search(lua_State *L, const operands *o, size_t from, bool places) {
    pattern_match m;
    begin(&m, L, o);
    bool anchored = o->pattern_length > 0 && o->pattern[0] == '^';
    const char *at = o->text + from;
    do {
        const char *end = pattern_try(&m, at, o->pattern + anchored);
        if (!end)
            continue;
        if (!places)
            return push_values(L, &m, at, end);
        lua_pushinteger(L, at - o->text + 1);
        lua_pushinteger(L, end - o->text);
        return 2 + (m.count > 0 ? push_values(L, &m, at, end) : 0);
    } while (at++ < m.text_end && !anchored);
    lua_pushnil(L);
    return 1;
}

/* find(text, pattern, from, plain) -> first, last, captures */
static int find_lua(lua_State *L) {
    operands o = check_operands(L);
    size_t from = check_beginning(L, o.text_length);
    return lua_toboolean(L, 4) || is_plain(&o) ? find_plain(L, &o, from) : search(L, &o, from, true);
}

/* match(text, pattern, from) -> captures, or all that matches */
static int match_lua(lua_State *L) {
    operands o = check_operands(L);
    return search(L, &o, check_beginning(L, o.text_length), false);
}

/* ---- gmatch ---- */

/* Upvalues: the text, the pattern, where to go on. */
static int next_match(lua_State *L) {
    operands o;
    o.text = lua_tolstring(L, lua_upvalueindex(1), &o.text_length);
    o.pattern = lua_tolstring(L, lua_upvalueindex(2), &o.pattern_length);
    pattern_match m;
    begin(&m, L, &o);
    for (const char *at = o.text + lua_tointeger(L, lua_upvalueindex(3)); at <= m.text_end; at++) {
        const char *end = pattern_try(&m, at, o.pattern);
        if (!end)
            continue;
        lua_pushinteger(L, end - o.text + (end == at));
        lua_replace(L, lua_upvalueindex(3));
        return push_values(L, &m, at, end);
    }
    return 0;
}

static int gmatch_lua(lua_State *L) {
    check_operands(L);
    lua_settop(L, 2);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_match, 3);
    return 1;
}

/* ---- gsub ---- */

static void add_template(luaL_Buffer *buffer, pattern_match *m, const char *from, const char *to) {
    size_t length;
    const char *template = lua_tolstring(m->L, 3, &length);
    long_work_count(&m->work, length);
    for (size_t i = 0; i < length; i++) {
        if (template[i] != '%' || i + 1 == length) {
            luaL_addchar(buffer, template[i]);
        } else if (!isdigit((unsigned char)template[++i])) {
            luaL_addchar(buffer, template[i]);
        } else if (template[i] == '0') {
            luaL_addlstring(buffer, from, (size_t)(to - from));
        } else {
            pattern_push_capture(m, template[i] - '1', from, to);
            luaL_addvalue(buffer);
        }
    }
}

/* Adds what stands in place of from..to. */
static void add_replacement(luaL_Buffer *buffer, pattern_match *m, const char *from, const char *to) {
    lua_State *L = m->L;
    if (lua_isstring(L, 3)) {
        add_template(buffer, m, from, to);
        return;
    }
    if (lua_istable(L, 3)) {
        pattern_push_capture(m, 0, from, to);
        lua_gettable(L, 3);
    } else {
        lua_pushvalue(L, 3);
        lua_call(L, push_values(L, m, from, to), 1);
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        lua_pushlstring(L, from, (size_t)(to - from));
    } else if (!lua_isstring(L, -1)) {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    }
    luaL_addvalue(buffer);
}

/* gsub(text, pattern, replacement, most) -> text, how many */
static int gsub_lua(lua_State *L) {
    operands o = check_operands(L);
    luaL_argcheck(L, lua_isstring(L, 3) || lua_istable(L, 3) || lua_isfunction(L, 3), 3,
                  "string/function/table expected");
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)o.text_length + 1), count = 0;
    bool anchored = o.pattern_length > 0 && o.pattern[0] == '^';
    const char *at = o.text;
    pattern_match m;
    luaL_Buffer buffer;
    begin(&m, L, &o);
    luaL_buffinit(L, &buffer);
    while (count < most) {
        const char *end = pattern_try(&m, at, o.pattern + anchored);
        if (end) {
            count++;
            add_replacement(&buffer, &m, at, end);
        }
        if (end && end > at)
            at = end;
        else if (at < m.text_end)
            luaL_addchar(&buffer, *at++);
        else
            break;
        if (anchored)
            break;
    }
    luaL_addlstring(&buffer, at, (size_t)(m.text_end - at));
    luaL_pushresult(&buffer);
    lua_pushinteger(L, count);
    return 2;
}

void pattern_lua_replace(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"find", find_lua}, {"match", match_lua}, {"gmatch", gmatch_lua}, {"gsub", gsub_lua}, {NULL, NULL}};
    luaL_register(L, "string", functions);
    lua_pop(L, 1);
}
