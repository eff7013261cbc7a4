/* Files on their way and forwarded ports, as Lua sees them; see transfer.h. */
#include "ssh/transfer.h"

#include "base/error.h"
#include "ssh/download.h"
#include "ssh/forward.h"
#include "ssh/lua.h"
#include "ssh/upload.h"

#include <lauxlib.h>
#include <string.h>

#define FORWARD_TYPE "hostler.ssh.forward"

/* ---- files ---- */

static void cancel_copy(wait *w) {
    copy_cancel((ssh_copy *)((operation_wait *)w)->operation);
}

static int finish_copy(lua_State *L, wait *w) {
    ssh_copy *copy = (ssh_copy *)((operation_wait *)w)->operation;
    copy_leave_local(copy); /* now, not when the garbage is collected */
    if (copy->done)
        return 0;
    if (!ssh_push_failure(L, &copy->operation))
        error_push(L, "internal", "a copy ended without a reason");
    if (copy->aside_is_there && !copy->replaced) {
        error_set(L, "old", copy->remote_aside);
        lua_pushfstring(L, "the old file is %s on the host, unless it was put back", copy->remote_aside);
        lua_setfield(L, -2, "hint");
    } else if (copy->temporary_is_there) {
        error_set(L, "temporary", copy->remote_temporary);
        lua_pushfstring(L, "a part of it may be left on the host: %s", copy->remote_temporary);
        lua_setfield(L, -2, "hint");
    }
    return lua_error(L);
}

static double number_field(lua_State *L, int index, const char *name, double otherwise) {
    lua_getfield(L, index, name);
    double number = lua_isnil(L, -1) ? otherwise : lua_tonumber(L, -1);
    lua_pop(L, 1);
    return number;
}

/* copy(connection, "up" or "down", here, there, { mode, uid, gid, limit }). Raises "ssh.file", "ssh.closed",
 * "ssh.sftp" when the host has no SFTP. */
static int copy_lua(lua_State *L) {
    ssh_check_effect(L);
    ssh_session *s = ssh_check_connection(L, 1);
    bool up = strcmp(luaL_checkstring(L, 2), "up") == 0;
    const char *local = luaL_checkstring(L, 3), *remote = luaL_checkstring(L, 4);
    luaL_checktype(L, 5, LUA_TTABLE);
    ssh_copy *copy = up ? upload_new(local, remote) : download_new(local, remote);
    operation_wait *waiting =
        ssh_push_wait(L, &copy->operation, finish_copy, up ? "ssh.upload" : "ssh.download");
    waiting->wait.cancel = cancel_copy;
    copy->mode = (int64_t)number_field(L, 5, "mode", -1);
    copy->uid = (uint32_t)number_field(L, 5, "uid", NO_OWNER);
    copy->gid = (uint32_t)number_field(L, 5, "gid", NO_OWNER);
    copy->limit = (uint64_t)number_field(L, 5, "limit", 0);
    if (!ssh_settle_if_closed(&copy->operation, s))
        copy_begin(copy, s);
    return wait_park(L, &waiting->wait);
}

/* ---- ports ---- */

static ssh_forward *check_forward(lua_State *L) {
    ssh_forward **forward = luaL_checkudata(L, 1, FORWARD_TYPE);
    return *forward;
}

static int forward_gc(lua_State *L) {
    ssh_forward *forward = check_forward(L);
    forward_close(forward);
    forward_unref(forward);
    return 0;
}

/* forward(connection, host, port, address, local port) -> forward, its port. Raises "ssh.forward". */
static int forward_lua(lua_State *L) {
    ssh_check_effect(L);
    ssh_session *s = ssh_check_connection(L, 1);
    const char *address = luaL_checkstring(L, 4);
    int problem, port = (int)luaL_checkinteger(L, 5);
    ssh_forward **forward = lua_newuserdata(L, sizeof(ssh_forward *));
    *forward = forward_open(s, luaL_checkstring(L, 2), (int)luaL_checkinteger(L, 3), address, port, &problem);
    if (!*forward)
        return error_raise(L, "ssh.forward", "cannot listen on %s port %d: %s", address, port,
                           strerror(problem));
    luaL_getmetatable(L, FORWARD_TYPE);
    lua_setmetatable(L, -2);
    lua_pushinteger(L, forward_port(*forward));
    return 2;
}

/* forward_close(forward) */
static int forward_close_lua(lua_State *L) {
    forward_close(check_forward(L));
    return 0;
}

/* forward_problem(forward) -> why the last connection could not be carried, or nil */
static int forward_problem_lua(lua_State *L) {
    const char *problem = forward_problem(check_forward(L));
    lua_pushstring(L, *problem ? problem : NULL);
    return 1;
}

void transfer_register(lua_State *L) {
    static const luaL_Reg plain[] = {{"forward", forward_lua},
                                     {"forward_close", forward_close_lua},
                                     {"forward_problem", forward_problem_lua},
                                     {NULL, NULL}};
    static const luaL_Reg waiting[] = {{"copy", copy_lua}, {NULL, NULL}};
    ssh_make_type(L, FORWARD_TYPE, forward_gc);
    luaL_register(L, NULL, plain);
    task_register(L, waiting);
}
