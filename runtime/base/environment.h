/* What this process was given: variables, credentials, its user, its version. */
#ifndef HOSTLER_BASE_ENVIRONMENT_H
#define HOSTLER_BASE_ENVIRONMENT_H

#include <lua.h>
#include <stdbool.h>

/* Whether NAME=VALUE of the environment is not for the programs that hostler starts: a secret was read from
 * it (secret_env), or hostler itself finds a password there. */
bool environment_is_private(const char *variable);

/* What such a program inherits: the environment without what is private. The list is the caller's to free,
 * its texts are not. A process that goes on with hostler's own work inherits all. */
char **environment_for_programs(void);

/* Adds to the table on top of the stack: env(name) secret_env(name) credential(name) user() version(). */
void environment_add(lua_State *L);

#endif
