/* See folder_bell.h. The folder is watched, not the file: so the file may come and go. */
#include "journal/folder_bell.h"

#include "base/files.h"
#include "base/outcome.h"
#include "task/bell.h"
#include "task/handle.h"
#include "task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define EAR_TYPE "hostler.journal.ear"
#define FILE_NAME "/rung"

/* The handle is libuv's until it is closed; the bell is kept by the ear's environment. */
typedef struct {
    uv_fs_event_t *watch;
} ear;

static void on_change(uv_fs_event_t *watch, const char *name, int events, int status) {
    (void)name, (void)events, (void)status;
    bell_ring(watch->data);
}

static int ring_folder_lua(lua_State *L) {
    lua_pushfstring(L, "%s" FILE_NAME, luaL_checkstring(L, 1));
    const char *path = lua_tostring(L, -1);
    if (files_make_private_parent(path))
        return 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        return 0;
    futimens(fd, NULL);
    close(fd);
    return 0;
}

static int hear_folder_lua(lua_State *L) {
    lua_pushfstring(L, "%s" FILE_NAME, luaL_checkstring(L, 1));
    bell *b = bell_check(L, 2);
    int problem = files_make_private_parent(lua_tostring(L, -1));
    if (problem)
        return outcome_push(L, problem);
    ear *e = lua_newuserdata(L, sizeof *e);
    e->watch = calloc(1, sizeof *e->watch);
    if (!e->watch)
        return luaL_error(L, "out of memory");
    uv_fs_event_init(task_loop(), e->watch);
    e->watch->data = b;
    luaL_getmetatable(L, EAR_TYPE);
    lua_setmetatable(L, -2);
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, -2);
    problem = uv_fs_event_start(e->watch, on_change, lua_tostring(L, 1), 0);
    uv_unref((uv_handle_t *)e->watch);
    return problem ? outcome_push(L, -problem) : 1;
}

static int collect(lua_State *L) {
    ear *e = lua_touserdata(L, 1);
    handle_discard(e->watch);
    e->watch = NULL;
    return 0;
}

void folder_bell_add(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"ring_folder", ring_folder_lua}, {"hear_folder", hear_folder_lua}, {NULL, NULL}};
    luaL_newmetatable(L, EAR_TYPE);
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_register(L, NULL, functions);
}
