/* See files_lua.h. */
#include "base/files_lua.h"

#include "base/error.h"
#include "base/files.h"
#include "base/outcome.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- reading ---- */

int files_push_open(lua_State *L, int fd, size_t most) {
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    size_t total = 0, count = LUAL_BUFFERSIZE;
    int problem = 0;
    while (!problem && count == LUAL_BUFFERSIZE) {
        problem = files_read(fd, luaL_prepbuffer(&buffer), LUAL_BUFFERSIZE, &count);
        total += count;
        problem = problem ? problem : total > most ? EFBIG : 0;
        luaL_addsize(&buffer, count);
    }
    luaL_pushresult(&buffer);
    if (problem)
        lua_pop(L, 1);
    return problem;
}

int files_push_text(lua_State *L, const char *path, size_t most) {
    int fd, problem = files_open(path, O_RDONLY, &fd);
    if (problem)
        return problem;
    problem = files_push_open(L, fd, most);
    close(fd);
    return problem;
}

void files_check_given(lua_State *L, const char *what, const char *path) {
    int problem = path ? files_check_readable(path) : 0;
    if (problem >= FILES_IS_FIFO)
        error_raise(L, "usage", "cannot read %s %s: %s", what, path, files_reason(problem));
}

static int read_file_lua(lua_State *L) {
    int problem = files_push_text(L, luaL_checkstring(L, 1), (size_t)luaL_optnumber(L, 2, FILES_LARGEST));
    return problem ? outcome_push(L, problem) : 1;
}

static int list_files_lua(lua_State *L) {
    struct dirent **entries;
    int count = scandir(luaL_checkstring(L, 1), &entries, NULL, alphasort);
    if (count < 0)
        return 0;
    lua_createtable(L, count, 0);
    for (int i = 0, kept = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            lua_pushstring(L, entries[i]->d_name);
            lua_rawseti(L, -2, ++kept);
        }
        free(entries[i]);
    }
    free(entries);
    return 1;
}

static int kind_lua(lua_State *L) {
    struct stat status;
    if (stat(luaL_checkstring(L, 1), &status))
        return 0;
    lua_pushstring(L, S_ISREG(status.st_mode) ? "file" : S_ISDIR(status.st_mode) ? "directory" : "other");
    return 1;
}

static int real_path_lua(lua_State *L) {
    char resolved[PATH_MAX];
    if (!realpath(luaL_checkstring(L, 1), resolved))
        return 0;
    lua_pushstring(L, resolved);
    return 1;
}

/* ---- writing ---- */

static int write_private_lua(lua_State *L) {
    size_t length;
    const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &length);
    return outcome_push(L, files_replace_private(path, text, length));
}

static int append_private_lua(lua_State *L) {
    size_t length;
    const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &length);
    int problem = files_make_private_parent(path);
    return outcome_push(L, problem ? problem : files_append_private(path, text, length));
}

static int make_private_parent_lua(lua_State *L) {
    return outcome_push(L, files_make_private_parent(luaL_checkstring(L, 1)));
}

void files_lua_add(lua_State *L) {
    static const luaL_Reg functions[] = {{"read_file", read_file_lua},
                                         {"list_files", list_files_lua},
                                         {"kind", kind_lua},
                                         {"real_path", real_path_lua},
                                         {"write_private", write_private_lua},
                                         {"append_private", append_private_lua},
                                         {"make_private_parent", make_private_parent_lua},
                                         {NULL, NULL}};
    luaL_register(L, NULL, functions);
}

/* ---- for the person ---- */

static int make_directory_lua(lua_State *L) {
    return outcome_push(L, files_make_directory(luaL_checkstring(L, 1)));
}

static int write_lua(lua_State *L) {
    size_t length;
    const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &length);
    return outcome_push(L, files_replace(path, text, length, files_usual_mode()));
}

static int create_lua(lua_State *L) {
    size_t length;
    const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &length);
    return outcome_push(L, files_create(path, text, length, files_usual_mode()));
}

static int remove_lua(lua_State *L) {
    return outcome_push(L, unlink(luaL_checkstring(L, 1)) ? errno : 0);
}

void files_lua_add_for_users(lua_State *L) {
    static const luaL_Reg functions[] = {{"make_directory", make_directory_lua},
                                         {"write", write_lua},
                                         {"create", create_lua},
                                         {"remove", remove_lua},
                                         {NULL, NULL}};
    luaL_register(L, NULL, functions);
}
