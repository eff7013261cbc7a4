/* This machine's settings; see settings.h. */
#include "ssh/settings.h"

#include "base/environment.h"
#include "base/error.h"
#include "base/files.h"
#include "base/files_lua.h"
#include "file.h"
#include "ssh/wire.h"
#include "task/handle.h"
#include "task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <lauxlib.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LARGEST_CONFIG (1024 * 1024)
#define MOST_ARGUMENTS 16

static int environment_lua(lua_State *L) {
    const char *value = getenv(luaL_checkstring(L, 1));
    lua_pushstring(L, value && *value ? value : NULL);
    return 1;
}

/* user() -> the name of who runs this process */
static int user_lua(lua_State *L) {
    const struct passwd *entry = getpwuid(getuid());
    lua_pushstring(L, entry ? entry->pw_name : getenv("USER"));
    return 1;
}

/* home([user]) -> a user's home directory, of who runs this process without one; nil for a user who does not
 * exist. As OpenSSH takes it: from the user database, whatever HOME says. */
static int home_lua(lua_State *L) {
    const char *name = luaL_optstring(L, 1, NULL);
    const struct passwd *entry = name ? getpwnam(name) : getpwuid(getuid());
    lua_pushstring(L, entry ? entry->pw_dir : name ? NULL : getenv("HOME"));
    return 1;
}

/* machine() -> this machine's name, the number of who runs this process */
static int machine_lua(lua_State *L) {
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    lua_pushstring(L, name);
    lua_pushnumber(L, (lua_Number)getuid());
    return 2;
}

/* What OpenSSH makes of who may change its configuration (read_config_file_depth in its readconf.c): the file
 * is its user's or the machine's, and nobody else writes it. Some take a group that has no other member. */
static const char *describe_writers(const struct stat *status) {
    return status->st_uid != 0 && status->st_uid != getuid() ? "owner"
           : status->st_mode & S_IWOTH                       ? "others"
           : status->st_mode & S_IWGRP                       ? "group"
                                                             : NULL;
}

/* Pushes what config_files has of a file; of one that is not there nothing, and returns false. */
static bool push_config(lua_State *L, const char *path) {
    struct stat status;
    int fd, problem = files_open(path, O_RDONLY, &fd);
    if (problem == ENOENT)
        return false;
    lua_createtable(L, 0, 4);
    lua_pushstring(L, path);
    lua_setfield(L, -2, "path");
    if (!problem) {
        problem = fstat(fd, &status) ? errno : files_push_open(L, fd, LARGEST_CONFIG);
        close(fd);
    }
    if (!problem) {
        lua_setfield(L, -2, "text");
        lua_pushstring(L, describe_writers(&status));
        lua_setfield(L, -2, "writers");
        lua_pushinteger(L, (lua_Integer)(status.st_mode & 07777));
        lua_setfield(L, -2, "mode");
        return true;
    }
    lua_pushstring(L, files_reason(problem));
    lua_setfield(L, -2, "problem");
    lua_pushboolean(L, problem >= FILES_IS_FIFO);
    lua_setfield(L, -2, "is_strange");
    return true;
}

/* config_files(pattern) -> a list of the files that match, in order: { path, text, writers, mode }, where
 * writers is "owner", "others", "group" or nil for who may change it besides its user; or { path, problem,
 * is_strange }, where is_strange says that it is no ordinary file. */
static int config_files_lua(lua_State *L) {
    glob_t found;
    const char *pattern = luaL_checkstring(L, 1);
    lua_newtable(L);
    if (glob(pattern, 0, NULL, &found) != 0)
        return 1;
    int kept = 0;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        if (push_config(L, found.gl_pathv[i]))
            lua_rawseti(L, -2, ++kept);
    }
    globfree(&found);
    return 1;
}

/* ---- ssh -G ---- */

typedef struct {
    uv_process_t process;
    uv_pipe_t pipe;
    ssh_buffer output;
    int open; /* handles that are not closed yet */
    int status;
    wait *waiter;
} resolver;

typedef struct {
    wait wait;
    resolver *resolver;
} resolve_wait;

static void on_closed(uv_handle_t *handle) {
    resolver *r = handle->data;
    if (--r->open > 0)
        return;
    if (r->waiter) {
        wait_done(r->waiter);
    } else {
        buffer_free(&r->output);
        free(r);
    }
}

static void on_exit_of_ssh(uv_process_t *process, int64_t status, int signal) {
    resolver *r = process->data;
    r->status = signal ? 128 + signal : (int)status;
    handle_close(process, on_closed);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    static char shared[16 * 1024];
    (void)handle, (void)suggested;
    *buffer = uv_buf_init(shared, sizeof shared);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
    resolver *r = stream->data;
    if (count > 0 && r->output.length < LARGEST_CONFIG)
        buffer_add(&r->output, buffer->base, (size_t)count);
    if (count < 0)
        handle_close(stream, on_closed);
}

static void cancel_resolve(wait *w) {
    resolver *r = ((resolve_wait *)w)->resolver;
    uv_process_kill(&r->process, SIGKILL); /* its exit closes the process handle */
    handle_close(&r->pipe, on_closed);
}

static int resolve_gc(lua_State *L) {
    resolve_wait *waiting = lua_touserdata(L, 1);
    resolver *r = waiting->resolver;
    waiting->resolver = NULL;
    if (!r)
        return 0;
    r->waiter = NULL;
    if (r->open > 0) {
        handle_close(&r->process, on_closed);
        handle_close(&r->pipe, on_closed);
        return 0;
    }
    buffer_free(&r->output);
    free(r);
    return 0;
}

static int finish_resolve(lua_State *L, wait *w) {
    const resolver *r = ((resolve_wait *)w)->resolver;
    lua_pushlstring(L, r->output.data ? r->output.data : "", r->output.length);
    lua_pushinteger(L, r->status);
    return 2;
}

static int start_ssh(resolver *r, char **arguments) {
    uv_stdio_container_t stdio[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&r->pipe},
        {.flags = UV_IGNORE},
    };
    uv_process_options_t options = {
        .file = "ssh", .args = arguments, .stdio = stdio, .stdio_count = 3, .exit_cb = on_exit_of_ssh};
    uv_pipe_init(task_loop(), &r->pipe, 0);
    r->process.data = r->pipe.data = r;
    r->open = 2;
    options.env = environment_for_programs();
    int problem = uv_spawn(task_loop(), &r->process, &options);
    free(options.env);
    if (problem) {
        handle_close(&r->process, on_closed);
        handle_close(&r->pipe, on_closed);
    } else {
        uv_read_start((uv_stream_t *)&r->pipe, on_allocate, on_read);
    }
    return problem;
}

/* resolve(arguments) -> what `ssh -G ARGUMENTS...` prints, its exit status. Waits. */
static int resolve_lua(lua_State *L) {
    char *arguments[MOST_ARGUMENTS + 3] = {"ssh", "-G"};
    size_t count = lua_objlen(L, 1);
    luaL_argcheck(L, count <= MOST_ARGUMENTS, 1, "too many arguments");
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 1, (int)i + 1); /* stays on the stack, and so in memory, until ssh has started */
        arguments[2 + i] = (char *)luaL_checkstring(L, -1);
    }
    resolve_wait *waiting = wait_new(L, sizeof *waiting, cancel_resolve, finish_resolve);
    luaL_getmetatable(L, "hostler.ssh.resolve");
    lua_setmetatable(L, -2);
    waiting->wait.what = "ssh -G";
    waiting->resolver = calloc(1, sizeof *waiting->resolver);
    if (!waiting->resolver)
        return luaL_error(L, "out of memory");
    waiting->resolver->waiter = &waiting->wait;
    int problem = start_ssh(waiting->resolver, arguments);
    if (problem)
        return error_raise(L, "ssh.config",
                           "cannot run ssh -G, which the OpenSSH configuration calls for: %s",
                           uv_strerror(problem));
    return wait_park(L, &waiting->wait);
}

void settings_register(lua_State *L) {
    static const luaL_Reg plain[] = {{"environment", environment_lua},
                                     {"user", user_lua},
                                     {"home", home_lua},
                                     {"machine", machine_lua},
                                     {"config_files", config_files_lua},
                                     {"read_file", file_read},
                                     {"write_file", file_write},
                                     {NULL, NULL}};
    static const luaL_Reg waiting[] = {{"resolve", resolve_lua}, {NULL, NULL}};
    luaL_newmetatable(L, "hostler.ssh.resolve");
    lua_pushcfunction(L, resolve_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_register(L, NULL, plain);
    task_register(L, waiting);
}
