/* Files on their way and forwarded ports, as Lua sees them. Internal to the ssh module. */
#ifndef HOSTLER_SSH_TRANSFER_H
#define HOSTLER_SSH_TRANSFER_H

#include <lua.h>

/* Adds to the table on top of the stack: copy forward forward_close forward_problem. */
void transfer_register(lua_State *L);

#endif
