/* Files of this machine; see file.h. The C half of the module `file`. */
#include "file.h"

#include "base/error.h"
#include "base/files.h"
#include "base/files_lua.h"
#include "base/outcome.h"
#include "task/stream.h"
#include "task/task.h"

#include <errno.h>
#include <lauxlib.h>
#include <sys/stat.h>

#define LARGEST_FILE (256 * 1024 * 1024)

int file_open(lua_State *L);

/* ---- reading ---- */

int file_read(lua_State *L) {
    int problem =
        files_push_text(L, luaL_checkstring(L, 1), (size_t)luaL_optnumber(L, 2, (lua_Number)LARGEST_FILE));
    return problem ? outcome_push(L, problem) : 1;
}

/* ---- writing ---- */

int file_write(lua_State *L) {
    size_t length;
    const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &length);
    int problem = files_replace(path, text, length, (mode_t)luaL_checkinteger(L, 3));
    lua_pushstring(L, files_reason(problem));
    return problem ? 1 : 0;
}

/* ---- looking ---- */

int file_stat(lua_State *L) {
    struct stat status;
    const char *path = luaL_checkstring(L, 1);
    if (stat(path, &status)) {
        if (errno != ENOENT && errno != ENOTDIR)
            return outcome_push(L, errno);
        lua_pushnil(L);
        return 1;
    }
    lua_createtable(L, 0, 4);
    lua_pushstring(L, S_ISREG(status.st_mode) ? "file" : S_ISDIR(status.st_mode) ? "directory" : "other");
    lua_setfield(L, -2, "kind");
    lua_pushnumber(L, (lua_Number)status.st_size);
    lua_setfield(L, -2, "size");
    lua_pushinteger(L, (lua_Integer)(status.st_mode & 07777));
    lua_setfield(L, -2, "mode");
    lua_pushnumber(L, (lua_Number)status.st_mtim.tv_sec + (lua_Number)status.st_mtim.tv_nsec / 1e9);
    lua_setfield(L, -2, "modified");
    return 1;
}

/* ---- the module ---- */

static void check_effect(lua_State *L) {
    if (!task_in_effect())
        error_raise(L, "internal", "a file of this machine was reached past the gate");
}

static int read_lua(lua_State *L) {
    check_effect(L);
    return file_read(L);
}

static int write_lua(lua_State *L) {
    check_effect(L);
    return file_write(L);
}

static int stat_lua(lua_State *L) {
    check_effect(L);
    return file_stat(L);
}

/* is_stream(path) -> whether read_stream and write_stream are for it */
static int is_stream_lua(lua_State *L) {
    check_effect(L);
    lua_pushboolean(L, stream_is(luaL_checkstring(L, 1)));
    return 1;
}

/* read_stream(path) -> text, or nil, reason. Waits. */
static int read_stream_lua(lua_State *L) {
    check_effect(L);
    lua_settop(L, 1);
    lua_pushnumber(L, LARGEST_FILE);
    return stream_read_lua(L);
}

/* write_stream(path, text) -> true, or nil, reason. Waits. */
static int write_stream_lua(lua_State *L) {
    check_effect(L);
    return stream_write_lua(L);
}

int file_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"read", read_lua},
                                         {"write", write_lua},
                                         {"stat", stat_lua},
                                         {"is_stream", is_stream_lua},
                                         {NULL, NULL}};
    static const luaL_Reg waiting[] = {
        {"read_stream", read_stream_lua}, {"write_stream", write_stream_lua}, {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    task_register(L, waiting);
    return 1;
}
