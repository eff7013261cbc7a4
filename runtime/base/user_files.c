/* Writes files for the person; see user_files.h. */
#define _GNU_SOURCE
#include "base/user_files.h"

#include "base/system.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_one(const char *path) {
    struct stat status;
    if (mkdir(path, 0777) == 0)
        return 0;
    int problem = errno;
    if (problem == EEXIST && stat(path, &status) == 0)
        return S_ISDIR(status.st_mode) ? 0 : ENOTDIR;
    return problem;
}

static int make_directory(const char *path) {
    char part[PATH_MAX];
    if (strlen(path) >= sizeof part)
        return ENAMETOOLONG;
    strcpy(part, path);
    int problem = 0;
    for (char *slash = strchr(part + 1, '/'); slash && !problem; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        problem = make_one(part);
        *slash = '/';
    }
    return problem ? problem : make_one(part);
}

static int make_directory_lua(lua_State *L) {
    return system_push_outcome(L, make_directory(luaL_checkstring(L, 1)));
}

static int fill(int fd, const char *text, size_t length) {
    int problem = system_write_all(fd, text, length);
    if (!problem && fsync(fd))
        problem = errno;
    if (close(fd) && !problem)
        problem = errno;
    return problem;
}

/* The mode of the file that is replaced, or what the umask leaves of a new one's. */
static mode_t mode_for(const char *path) {
    struct stat status;
    if (stat(path, &status) == 0)
        return status.st_mode & 07777;
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

/* Beside the file, so that it can take its place at once. */
static int replace(const char *path, const char *text, size_t length) {
    char real[PATH_MAX], temporary[PATH_MAX];
    const char *target = realpath(path, real) ? real : path;
    int shown = snprintf(temporary, sizeof temporary, "%s.XXXXXX", target);
    if (shown < 0 || (size_t)shown >= sizeof temporary)
        return ENAMETOOLONG;
    mode_t mode = mode_for(target);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return errno;
    int problem = fchmod(fd, mode) ? errno : 0;
    int filled = fill(fd, text, length);
    problem = problem ? problem : filled;
    if (!problem && rename(temporary, target))
        problem = errno;
    if (problem)
        unlink(temporary);
    return problem;
}

static int write_lua(lua_State *L) {
    size_t length;
    const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &length);
    return system_push_outcome(L, replace(path, text, length));
}

static int create_lua(lua_State *L) {
    size_t length;
    const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &length);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return system_push_outcome(L, errno);
    int problem = fill(fd, text, length);
    if (problem)
        unlink(path);
    return system_push_outcome(L, problem);
}

static int remove_lua(lua_State *L) {
    return system_push_outcome(L, unlink(luaL_checkstring(L, 1)) ? errno : 0);
}

int user_files_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"make_directory", make_directory_lua},
                                         {"write", write_lua},
                                         {"create", create_lua},
                                         {"remove", remove_lua},
                                         {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
