/* Files of this machine; see file.h. The C half of the module `file`. */
#define _GNU_SOURCE /* mkostemp */
#include "file.h"

#include "base/error.h"
#include "base/system.h"
#include "task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    return problem ? system_push_outcome(L, problem) : 1;
}

/* ---- writing ---- */

static int write_whole(int fd, const char *text, size_t length, mode_t mode) {
    int problem = system_write_all(fd, text, length);
    if (problem)
        return problem;
    return fchmod(fd, mode) || fsync(fd) ? errno : 0;
}

/* Makes the new file beside the old one, and puts it in its place when it is whole. */
static int replace(const char *path, const char *text, size_t length, mode_t new_mode) {
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary)
        return ENAMETOOLONG;
    struct stat old;
    bool exists = stat(path, &old) == 0;
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return errno;
    /* Root keeps a person's file theirs; for others it is their own already, or cannot be given away. */
    int problem = exists && geteuid() == 0 && fchown(fd, old.st_uid, old.st_gid) ? errno : 0;
    if (!problem)
        problem = write_whole(fd, text, length, exists ? old.st_mode & 07777 : new_mode);
    close(fd);
    if (!problem && rename(temporary, path))
        problem = errno;
    if (problem)
        unlink(temporary);
    return problem;
}

int file_write(lua_State *L) {
    size_t length;
    const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &length);
    mode_t mode = (mode_t)luaL_checkinteger(L, 3);
    char behind_links[PATH_MAX];
    int problem = replace(realpath(path, behind_links) ? behind_links : path, text, length, mode);
    return problem ? push_problem(L, problem) : 0;
}

/* ---- looking ---- */

int file_stat(lua_State *L) {
    struct stat status;
    const char *path = luaL_checkstring(L, 1);
    if (stat(path, &status)) {
        if (errno != ENOENT && errno != ENOTDIR)
            return system_push_outcome(L, errno);
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
