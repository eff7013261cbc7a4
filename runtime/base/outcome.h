/* How functions of the prelude tell what a system call came to: true, or nil and why not. */
#ifndef HOSTLER_BASE_OUTCOME_H
#define HOSTLER_BASE_OUTCOME_H

#include <lua.h>

/* Pushes true, or nil and the text of an errno, or of a problem of base/files.h. Returns how many values. */
int outcome_push(lua_State *L, int problem);

/* Pushes nil and this reason. */
int outcome_push_refusal(lua_State *L, const char *reason);

#endif
