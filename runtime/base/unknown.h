/* Unknowns: what stands, in a dry run, for a value that only the real run will know. It shows as
 * <create droplet.id>, and refuses whatever would need the value. */
#ifndef HOSTLER_BASE_UNKNOWN_H
#define HOSTLER_BASE_UNKNOWN_H

#include <lua.h>

/* Adds to the table on top of the stack: unknown(shown), is_unknown(value). */
void unknown_add(lua_State *L);

#endif
