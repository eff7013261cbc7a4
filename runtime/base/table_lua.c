/* See table_lua.h. */
#include "base/table_lua.h"

#include "base/long_work.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

/* ---- sort ---- */

#define BYTES_A_STEP 32 /* that are compared */

/* The list is argument 1, the function that compares is argument 2. */
typedef struct {
    long_work work;
    bool has_function;
} sorting;

static size_t steps_of_comparison(lua_State *L, int left, int right) {
    if (lua_type(L, left) != LUA_TSTRING || lua_type(L, right) != LUA_TSTRING)
        return 2;
    size_t a = lua_objlen(L, left), b = lua_objlen(L, right);
    return 2 + (a < b ? a : b) / BYTES_A_STEP;
}

/* Whether the value at `left` comes before the one at `right`; both count from the top. */
static bool comes_before(sorting *s, int left, int right) {
    lua_State *L = s->work.L;
    long_work_count(&s->work, steps_of_comparison(L, left, right));
    if (!s->has_function)
        return lua_lessthan(L, left, right);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, left - 1);
    lua_pushvalue(L, right - 2);
    lua_call(L, 2, 1);
    bool before = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return before;
}

/* Takes two values off the stack: the upper one is put at `upper`. */
static void put_two(lua_State *L, int upper, int lower) {
    lua_rawseti(L, 1, upper);
    lua_rawseti(L, 1, lower);
}

static void get_two(lua_State *L, int lower, int upper) {
    lua_rawgeti(L, 1, lower);
    lua_rawgeti(L, 1, upper);
}

/* Puts the least of three at `first`, the greatest at `last`; of two, which are next to each other, likewise.
 */
static void sort_three(sorting *s, int first, int middle, int last) {
    lua_State *L = s->work.L;
    get_two(L, first, last);
    if (comes_before(s, -1, -2))
        put_two(L, first, last);
    else
        lua_pop(L, 2);
    if (last - first == 1)
        return;
    get_two(L, middle, first);
    if (comes_before(s, -2, -1)) {
        put_two(L, middle, first);
        return;
    }
    lua_pop(L, 1);
    lua_rawgeti(L, 1, last);
    if (comes_before(s, -1, -2))
        put_two(L, middle, last);
    else
        lua_pop(L, 2);
}

/* Moves what comes before the middle one to its left, and the others to its right; returns its place. */
static int part_list(sorting *s, int first, int middle, int last) {
    lua_State *L = s->work.L;
    int left = first, right = last - 1;
    lua_rawgeti(L, 1, middle); /* stays on the stack */
    lua_pushvalue(L, -1);
    lua_rawgeti(L, 1, right);
    put_two(L, middle, right);
    for (;;) {
        while (lua_rawgeti(L, 1, ++left), comes_before(s, -1, -2)) {
            if (left >= last)
                luaL_error(L, "invalid order function for sorting");
            lua_pop(L, 1);
        }
        while (lua_rawgeti(L, 1, --right), comes_before(s, -3, -1)) {
            if (right <= first)
                luaL_error(L, "invalid order function for sorting");
            lua_pop(L, 1);
        }
        if (right < left)
            break;
        put_two(L, left, right);
    }
    lua_pop(L, 3);
    get_two(L, last - 1, left);
    put_two(L, last - 1, left);
    return left;
}

/* Quicksort by the median of three. The smaller part is sorted by a call, so that calls are never deep. */
static void sort_between(sorting *s, int first, int last) {
    while (first < last) {
        int middle = (int)(((unsigned)first + (unsigned)last) / 2);
        sort_three(s, first, middle, last);
        if (last - first <= 2)
            return;
        int place = part_list(s, first, middle, last);
        if (place - first < last - place) {
            sort_between(s, first, place - 1);
            first = place + 1;
        } else {
            sort_between(s, place + 1, last);
            last = place - 1;
        }
    }
}

/* sort(list, comes_before) */
static int sort_lua(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    if (!lua_isnoneornil(L, 2))
        luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    luaL_checkstack(L, 40, "");
    sorting s = {{.L = L}, !lua_isnil(L, 2)};
    sort_between(&s, 1, (int)lua_objlen(L, 1));
    return 0;
}

/* ---- concat ---- */

#define PIECE 20000 /* values that the interpreter's own concat joins at once */

/* Upvalues: the interpreter's own concat, and what does it where userdata is among the values. */
typedef struct {
    long_work work;
    lua_Integer first, last;
    size_t separator_length;
} joining;

/* Whether the values from `first` to `last` can be joined; false for userdata, which may stand for a text. */
static bool are_texts(joining *j, lua_Integer first, lua_Integer last) {
    lua_State *L = j->work.L;
    for (lua_Integer place = first; place <= last; place++) {
        lua_rawgeti(L, 1, (int)place);
        int type = lua_type(L, -1);
        if (type == LUA_TUSERDATA)
            return false;
        if (type != LUA_TSTRING && type != LUA_TNUMBER)
            luaL_error(L, "invalid value (%s) at index %d in table for 'concat'", lua_typename(L, type),
                       (int)place);
        size_t length = type == LUA_TSTRING ? lua_objlen(L, -1) : 16;
        lua_pop(L, 1);
        long_work_count(&j->work, 4 + (length + j->separator_length) / BYTES_A_STEP);
    }
    return true;
}

static void push_joined(lua_State *L, int upvalue, lua_Integer first, lua_Integer last) {
    lua_pushvalue(L, lua_upvalueindex(upvalue));
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_pushinteger(L, first);
    lua_pushinteger(L, last);
    lua_call(L, 4, 1);
}

static int push_in_pieces(joining *j) {
    lua_State *L = j->work.L;
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    for (lua_Integer from = j->first, to; from <= j->last; from = to + 1) {
        to = j->last - from < PIECE ? j->last : from + PIECE - 1;
        long_work_count(&j->work, PIECE);
        push_joined(L, 1, from, to);
        luaL_addvalue(&buffer);
        if (to == j->last)
            break;
        lua_pushvalue(L, 2);
        luaL_addvalue(&buffer);
    }
    luaL_pushresult(&buffer);
    return 1;
}

/* concat(list, separator, first, last) -> text */
static int concat_lua(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    joining j = {.work = {.L = L}};
    luaL_optlstring(L, 2, "", &j.separator_length);
    j.first = luaL_optint(L, 3, 1);
    j.last = lua_isnoneornil(L, 4) ? (lua_Integer)lua_objlen(L, 1) : luaL_checkint(L, 4);
    lua_settop(L, 2);
    if (lua_isnil(L, 2)) {
        lua_pushliteral(L, "");
        lua_replace(L, 2);
    }
    if (!are_texts(&j, j.first, j.last))
        push_joined(L, 2, j.first, j.last);
    else if (j.last - j.first < PIECE)
        push_joined(L, 1, j.first, j.last);
    else
        push_in_pieces(&j);
    return 1;
}

/* concat_with(concat, fn) -> a concat which leaves lists with userdata to fn. */
static int concat_with_lua(lua_State *L) {
    lua_settop(L, 2);
    lua_pushcclosure(L, concat_lua, 2);
    return 1;
}

void table_lua_add(lua_State *L) {
    static const luaL_Reg functions[] = {{"sort", sort_lua}, {"concat_with", concat_with_lua}, {NULL, NULL}};
    luaL_register(L, NULL, functions);
}
