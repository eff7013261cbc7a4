/* Files of this machine; see file.h. The C half of the module `file`. */
#include "file.h"

#include "base/error.h"
#include "base/files.h"
#include "base/outcome.h"
#include "task/task.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LARGEST_FILE (256 * 1024 * 1024)

int file_open(lua_State *L);

static int push_problem(lua_State *L, int problem) {
    lua_pushstring(L, strerror(problem));
    return 1;
}

/* ---- reading ---- */

static int push_text(lua_State *L, FILE *file) {
    luaL_Buffer text;
    size_t total = 0, count = 1;
    luaL_buffinit(L, &text);
    while (count > 0 && total <= LARGEST_FILE) {
        count = fread(luaL_prepbuffer(&text), 1, LUAL_BUFFERSIZE, file);
        luaL_addsize(&text, count);
        total += count;
    }
    luaL_pushresult(&text);
    return ferror(file) ? EIO : total > LARGEST_FILE ? EFBIG : 0;
}

int file_read(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    lua_Integer most = luaL_optinteger(L, 2, LARGEST_FILE);
    FILE *file = fopen(path, "re");
    struct stat status;
    int problem = !file ? errno : fstat(fileno(file), &status) ? errno : S_ISDIR(status.st_mode) ? EISDIR : 0;
    if (!problem && status.st_size > most)
        problem = EFBIG;
    if (!problem)
        problem = push_text(L, file);
    if (file)
        fclose(file);
    return problem ? outcome_push(L, problem) : 1;
}

/* ---- writing ---- */

int file_write(lua_State *L) {
    size_t length;
    const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &length);
    int problem = files_replace(path, text, length, (mode_t)luaL_checkinteger(L, 3));
    return problem ? push_problem(L, problem) : 0;
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

int file_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"read", read_lua}, {"write", write_lua}, {"stat", stat_lua}, {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
