/* Secrets: texts that only an effect may unwrap. tostring shows [secret]; text joined to one is a secret too,
 * and shows what is not secret of it. */
#ifndef HOSTLER_BASE_SECRET_H
#define HOSTLER_BASE_SECRET_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* Pushes a secret of this text and remembers the text, so that scrub() hides it from now on. */
void secret_push(lua_State *L, const char *text, size_t length);

/* The plain text of a string, number or secret at this index; raises for other types. Unwrapping a secret
 * outside an effect raises. The text lives as long as the value does. */
const char *secret_tolstring(lua_State *L, int index, size_t *length);

/* The same at any time, for what neither shows nor keeps the text: sealing it. */
const char *secret_plain(lua_State *L, int index, size_t *length);

bool secret_is(lua_State *L, int index);

/* Adds to the table on top of the stack: new random is reveal derive scrub beginning ending. */
void secret_add(lua_State *L);

#endif
