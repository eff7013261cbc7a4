/* The error table, made from C and from Lua; see error.h for its shape. */
#include "base/error.h"

#include "base/hidden.h"
#include "base/memory.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_TYPE "hostler.error"
#define OUT_OF_MEMORY "not enough memory" /* as Lua says it */

static int error_tostring(lua_State *L) {
    lua_getfield(L, 1, "message");
    size_t length;
    const char *shown = hidden_shown(L, -1, &length);
    if (shown)
        lua_pushlstring(L, shown, length);
    else
        lua_pushliteral(L, "unknown error");
    return 1;
}

/* Pushes the metatable all error tables share. */
static void push_metatable(lua_State *L) {
    if (luaL_newmetatable(L, ERROR_TYPE)) {
        lua_pushcfunction(L, error_tostring);
        lua_setfield(L, -2, "__tostring");
        lua_pushliteral(L, "error");
        lua_setfield(L, -2, "__metatable");
    }
}

/* The whole text, never a part of it: the half of a secret would not be recognized as one. */
static void push_text(lua_State *L, const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    char small[256];
    int length = vsnprintf(small, sizeof small, format, arguments);
    if (length < (int)sizeof small) {
        lua_pushlstring(L, small, length < 0 ? 0 : (size_t)length);
    } else {
        char *large = lua_newuserdata(L, (size_t)length + 1);
        vsnprintf(large, (size_t)length + 1, format, again);
        lua_pushlstring(L, large, (size_t)length);
        lua_remove(L, -2);
    }
    va_end(again);
}

static void push_formatted(lua_State *L, const char *code, const char *format, va_list arguments) {
    lua_createtable(L, 0, 6);
    lua_pushstring(L, code);
    lua_setfield(L, -2, "code");
    push_text(L, format, arguments);
    lua_setfield(L, -2, "message");
    push_metatable(L);
    lua_setmetatable(L, -2);
}

void error_push(lua_State *L, const char *code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    push_formatted(L, code, format, arguments);
    va_end(arguments);
}

int error_raise(lua_State *L, const char *code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    push_formatted(L, code, format, arguments);
    va_end(arguments);
    lua_error(L);
    __builtin_unreachable();
}

void error_push_memory(lua_State *L) {
    error_push(L, "memory", "not enough memory: one process of hostler may use %u MiB", memory_most());
    error_set(L, "hint", "keep less at once: go through what is large in parts; or set HOSTLER_MEMORY=MIB");
}

void error_set_text(lua_State *L, const char *field, const char *text, size_t length) {
    lua_pushlstring(L, text, length);
    lua_setfield(L, -2, field);
}

void error_set(lua_State *L, const char *field, const char *text) {
    if (text)
        error_set_text(L, field, text, strlen(text));
}

void error_set_integer(lua_State *L, const char *field, lua_Integer value) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, field);
}

void error_set_boolean(lua_State *L, const char *field, bool value) {
    lua_pushboolean(L, value);
    lua_setfield(L, -2, field);
}

int error_is(lua_State *L, int index) {
    if (!lua_istable(L, index) || !lua_getmetatable(L, index))
        return 0;
    luaL_getmetatable(L, ERROR_TYPE);
    int same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

static int has_field(lua_State *L, const char *field) {
    lua_getfield(L, -1, field);
    int present = !lua_isnil(L, -1);
    lua_pop(L, 1);
    return present;
}

/* Files that people edit are loaded under a name that begins with '@', hostler's own under '='. For Lua,
 * place.lua looks for the innermost place in the same way. */
static void set_place(lua_State *thread) {
    lua_Debug frame;
    for (int level = 0; lua_getstack(thread, level, &frame); level++) {
        lua_getinfo(thread, "Sl", &frame);
        /* Out of memory, Lua only knows in which function. */
        int line = frame.currentline > 0 ? frame.currentline : frame.linedefined;
        if (frame.source[0] == '@' && line > 0) {
            error_set(thread, "file", frame.source + 1);
            error_set_integer(thread, "line", line);
            return;
        }
    }
}

/* "file.lua:12: text", as Lua writes it, is taken apart: pushes the error with its place in fields of their
 * own. */
static void push_from_text(lua_State *thread, const char *text) {
    if (strcmp(text, OUT_OF_MEMORY) == 0) {
        error_push_memory(thread);
        return;
    }
    const char *extension = strstr(text, ".lua:");
    const char *cursor = extension ? extension + strlen(".lua:") : text;
    size_t digits = strspn(cursor, "0123456789");
    if (!extension || digits == 0 || strncmp(cursor + digits, ": ", 2) != 0) {
        error_push(thread, "lua", "%s", text);
        return;
    }
    error_push(thread, "lua", "%s", cursor + digits + 2);
    if (strncmp(text, "hostler:", strlen("hostler:")) != 0) {
        error_set_text(thread, "file", text, (size_t)(cursor - 1 - text));
        error_set_integer(thread, "line", (lua_Integer)strtol(cursor, NULL, 10));
    }
}

/* A table that was raised keeps its message, read without its metamethods, which may fail; and anything else
 * that is no text stays as `value`. */
static void wrap_plain_value(lua_State *thread) {
    const char *shown = hidden_shown(thread, -1, NULL);
    if (shown) {
        push_from_text(thread, shown);
    } else {
        bool table = lua_istable(thread, -1);
        if (table) {
            lua_pushliteral(thread, "message");
            lua_rawget(thread, -2);
        }
        if (table && lua_type(thread, -1) == LUA_TSTRING)
            error_push(thread, "lua", "%s", lua_tostring(thread, -1));
        else
            error_push(thread, "lua", "a %s value was raised as an error",
                       luaL_typename(thread, table ? -2 : -1));
        if (table)
            lua_remove(thread, -2);
        lua_pushvalue(thread, -2);
        lua_setfield(thread, -2, "value");
    }
    lua_remove(thread, -2);
}

void error_complete(lua_State *thread) {
    luaL_checkstack(thread, 8, "while completing an error");
    if (!error_is(thread, -1))
        wrap_plain_value(thread);
    if (!has_field(thread, "line"))
        set_place(thread);
    if (!has_field(thread, "traceback")) {
        luaL_traceback(thread, thread, NULL, 0);
        lua_setfield(thread, -2, "traceback");
    }
}

/* new(fields): turns a table of fields into an error, ready to be raised. */
static int error_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    push_metatable(L);
    lua_setmetatable(L, 1);
    return 1;
}

static int error_is_lua(lua_State *L) {
    lua_pushboolean(L, error_is(L, 1));
    return 1;
}

/* complete(value): see error_complete; usable as a handler of xpcall. */
static int error_complete_lua(lua_State *L) {
    lua_settop(L, 1);
    error_complete(L);
    return 1;
}

int error_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"new", error_new},
        {"is", error_is_lua},
        {"complete", error_complete_lua},
        {NULL, NULL},
    };
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
