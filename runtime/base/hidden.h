/* The two kinds of values that may be used but not seen: a userdata with a text that is kept to itself and
 * one that may be shown. What a secret and an unknown may do is in secret.h and unknown.h. */
#ifndef HOSTLER_BASE_HIDDEN_H
#define HOSTLER_BASE_HIDDEN_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum { HIDDEN_SECRET, HIDDEN_UNKNOWN } hidden_kind;

/* Pushes a value of this kind with copies of both texts. */
void hidden_push(lua_State *L, hidden_kind kind, const char *plain, size_t plain_length, const char *shown,
                 size_t shown_length);

bool hidden_is(lua_State *L, int index, hidden_kind kind);

/* The text that a secret keeps to itself; NULL for anything else. It lives as long as the value does. */
const char *hidden_plain(lua_State *L, int index, size_t *length);

/* What may be shown of a string, number, secret or unknown; NULL for other types. */
const char *hidden_shown(lua_State *L, int index, size_t *length);

/* Makes the metatable of a kind: these metamethods, and those that both kinds have. tostring gives what may
 * be shown. What is joined to a secret becomes a secret, what is joined to an unknown an unknown. */
void hidden_make_type(lua_State *L, hidden_kind kind, const luaL_Reg *metamethods);

#endif
