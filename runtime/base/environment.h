/* What this process was given: variables, credentials, its user, its version. */
#ifndef HOSTLER_BASE_ENVIRONMENT_H
#define HOSTLER_BASE_ENVIRONMENT_H

#include <lua.h>

/* Adds to the table on top of the stack: env(name) credential(name) user() version(). */
void environment_add(lua_State *L);

#endif
