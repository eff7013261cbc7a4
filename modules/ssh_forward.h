/* Local ports that lead through a host to a server behind it. Internal to the ssh module. */
#ifndef HOSTLER_SSH_FORWARD_H
#define HOSTLER_SSH_FORWARD_H

#include "ssh_session.h"

/* Adds forward, forward_close and forward_problem to the table on top of the stack. */
void forward_register(lua_State *L);

#endif
