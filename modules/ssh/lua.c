/* What the files that face Lua share; see lua.h. */
#include "ssh/lua.h"

#include "base/error.h"

#include <lauxlib.h>

#define OPERATION_TYPE "hostler.ssh.operation"

void ssh_check_effect(lua_State *L) {
    if (!task_in_effect())
        error_raise(L, "internal", "the ssh module was reached past the gate");
}

/* ---- waiting for an operation ---- */

static void cancel_operation(wait *w) {
    operation_abandon(((operation_wait *)w)->operation);
    wait_done(w);
}

static int operation_gc(lua_State *L) {
    operation_wait *waiting = lua_touserdata(L, 1);
    ssh_operation *operation = waiting->operation;
    waiting->operation = NULL;
    if (!operation)
        return 0;
    operation_abandon(operation);
    operation_unref(operation);
    return 0;
}

operation_wait *ssh_push_wait(lua_State *L, ssh_operation *operation, int (*finish)(lua_State *, wait *),
                              const char *what) {
    operation_wait *waiting = wait_new(L, sizeof *waiting, cancel_operation, finish);
    luaL_getmetatable(L, OPERATION_TYPE);
    lua_setmetatable(L, -2);
    waiting->wait.what = what;
    waiting->operation = operation;
    operation->references++;
    operation->waiter = &waiting->wait;
    return waiting;
}

bool ssh_push_failure(lua_State *L, const ssh_operation *operation) {
    if (operation->failure.code)
        failure_push(L, &operation->failure);
    else if (session_is_broken(operation->session))
        failure_push(L, &operation->session->failure);
    else
        return false;
    error_set_boolean(L, "unclear", operation->unclear);
    return true;
}

bool ssh_settle_if_closed(ssh_operation *operation, ssh_session *s) {
    if (s->state == SESSION_READY && !session_is_broken(s))
        return false;
    failure_set(&operation->failure, "ssh.closed", "%s: the connection is closed", s->target.label);
    operation->session = session_ref(s);
    operation_settle(operation);
    return true;
}

/* ---- userdata ---- */

ssh_session *ssh_check_connection(lua_State *L, int index) {
    ssh_session **connection = luaL_checkudata(L, index, SSH_CONNECTION_TYPE);
    return *connection;
}

void ssh_make_type(lua_State *L, const char *type, lua_CFunction gc) {
    luaL_newmetatable(L, type);
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void ssh_make_wait_type(lua_State *L) {
    ssh_make_type(L, OPERATION_TYPE, operation_gc);
}
