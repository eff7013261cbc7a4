/* What the files that face Lua share: ssh.c has connections, commands and keys, transfer.c files and
 * ports. */
#ifndef HOSTLER_SSH_LUA_H
#define HOSTLER_SSH_LUA_H

#include "ssh/operation.h"

#define SSH_CONNECTION_TYPE "hostler.ssh.connection"

/* A task's wait for an operation. */
typedef struct {
    wait wait;
    ssh_operation *operation;
} operation_wait;

/* Raises when no effect is open. */
void ssh_check_effect(lua_State *L);

/* The session of the connection at this index, a userdata that holds a reference to it. */
ssh_session *ssh_check_connection(lua_State *L, int index);

/* Pushes the wait of an operation that is about to begin. */
operation_wait *ssh_push_wait(lua_State *L, ssh_operation *operation, int (*finish)(lua_State *, wait *),
                              const char *what);

/* Settles an operation that cannot begin, for the connection is closed; false when it can. */
bool ssh_settle_if_closed(ssh_operation *operation, ssh_session *s);

/* Pushes why the operation failed; false when it did not. */
bool ssh_push_failure(lua_State *L, const ssh_operation *operation);

/* Makes the metatable of a type whose userdata `gc` frees. */
void ssh_make_type(lua_State *L, const char *type, lua_CFunction gc);

/* Makes the type that ssh_push_wait needs. */
void ssh_make_wait_type(lua_State *L);

#endif
