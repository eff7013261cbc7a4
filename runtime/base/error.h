/* The one error shape.
 *
 * Everything that goes wrong is raised in Lua as a table with
 *   code       a stable word to test for: "ssh.exit", "http.status", "timeout", "cancelled", "usage" ...
 *   message    what failed, one sentence
 *   hint       what to do next (optional)
 *   cause      the error underneath (optional)
 *   unclear    of an effect: true when it may have happened all the same, for its end was not seen, false
 *              when it surely has not, unset when its module saw it end: the gate records it, a resumed run
 *              asks about a write that may have happened, and what surely has not is no change
 *   target, step, file, line, traceback, and the details of the effect that failed.
 *
 * tostring() of it gives what a person reads. */
#ifndef HOSTLER_BASE_ERROR_H
#define HOSTLER_BASE_ERROR_H

#include <lua.h>
#include <stdbool.h>

/* Pushes a new error table with this code and printf-formatted message. */
void error_push(lua_State *L, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Pushes the error of one who wants more memory than there is: code "memory". */
void error_push_memory(lua_State *L);

/* Sets a text field of the error table on top of the stack. NULL text leaves the field unset. */
void error_set(lua_State *L, const char *field, const char *text);
void error_set_text(lua_State *L, const char *field, const char *text, size_t length);
void error_set_integer(lua_State *L, const char *field, lua_Integer value);
void error_set_boolean(lua_State *L, const char *field, bool value);

/* error_push and lua_error in one. Never returns; the int lets callers write `return error_raise(...)`. */
int error_raise(lua_State *L, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));

/* Makes the value on top of `thread`'s stack an error table (a plain string becomes code "lua"), and fills
 * in `traceback`, and `file` and `line` of the innermost frame that is not hostler's own, where unset. */
void error_complete(lua_State *thread);

/* True when the value at this index is an error table. */
int error_is(lua_State *L, int index);

/* Pushes a table of functions: new(fields), is(value). */
int error_open(lua_State *L);

#endif
