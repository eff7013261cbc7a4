/* What the files that face Lua share: ssh.c has connections, commands and keys, transfer.c files and
 * ports. */
#ifndef HOSTLER_SSH_LUA_H
#define HOSTLER_SSH_LUA_H

#include "ssh/session.h"

/* A task's wait for an operation. */
typedef struct {
    wait wait;
    ssh_operation *operation;
} operation_wait;

/* Raises when no effect is open. */
void ssh_check_effect(lua_State *L);

ssh_session *ssh_check_connection(lua_State *L, int index);

/* Pushes the wait of an operation that is about to begin. */
operation_wait *ssh_push_wait(lua_State *L, ssh_operation *operation, int (*finish)(lua_State *, wait *),
                              const char *what);

/* Settles an operation that cannot begin, for the connection is closed; false when it can. */
bool ssh_settle_if_closed(ssh_operation *operation, ssh_session *s);

/* Pushes why the operation failed; false when it did not. */
bool ssh_push_failure(lua_State *L, const ssh_operation *operation);

void ssh_make_type(lua_State *L, const char *type, lua_CFunction gc);

/* ---- transfer.c ---- */

/* Adds its functions to the table on top of the stack. */
void transfer_register(lua_State *L);

#endif
