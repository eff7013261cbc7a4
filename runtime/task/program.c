/* See program.h.
 *
 * The program runs in a session of its own, under a guardian: stopping it is SIGTERM and, two seconds
 * later, SIGKILL to all that it began; SIGKILL at once when this process is gone. The call returns
 * when the program has ended and both its outputs are closed, also by programs that it left in the
 * background. */
#define _GNU_SOURCE /* close_range, sigabbrev_np */
#include "task/program.h"

#include "base/environment.h"
#include "base/error.h"
#include "base/scrub.h"
#include "base/secret.h"
#include "task/guard.h"
#include "task/handle.h"
#include "task/task.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUN_TYPE "hostler.sh.run"
#define DEFAULT_LIMIT (16 * 1024 * 1024)
#define READ_SIZE (64 * 1024)
#define TAIL_SIZE (64 * 1024) /* of an output that goes into an error */
#define KILL_AFTER_MS 2000
#define MOST_ARGUMENTS 4096
#define MOST_SETTINGS 256 /* of the environment */

extern char **environ;

typedef struct {
    uv_pipe_t pipe;
    char *text;
    size_t length, room;
} output;

typedef enum { GOES_ON, TIMED_OUT, TOO_LONG, STOPPED } run_end;

typedef struct {
    wait wait;
    uv_process_t process;
    uv_pipe_t input;
    uv_write_t write;
    uv_timer_t timer; /* first the time limit, then the patience between SIGTERM and SIGKILL */
    output out, err;
    int open_handles;
    int problem; /* of guard_spawn */
    guarded *program;
    int64_t status;
    int signal;
    run_end end;
    size_t limit;
    double timeout;
    bool check;
    bool exited;
} run;

/* ---- ending ---- */

static void on_closed(uv_handle_t *handle) {
    run *r = handle->data;
    if (--r->open_handles == 0)
        wait_done(&r->wait);
}

static void close_everything(run *r) {
    handle_close(&r->input, on_closed);
    handle_close(&r->out.pipe, on_closed);
    handle_close(&r->err.pipe, on_closed);
    handle_close(&r->process, on_closed);
    handle_close(&r->timer, on_closed);
}

static bool outputs_are_closed(run *r) {
    return uv_is_closing((uv_handle_t *)&r->out.pipe) && uv_is_closing((uv_handle_t *)&r->err.pipe);
}

static void close_if_over(run *r) {
    if (outputs_are_closed(r) && r->exited)
        close_everything(r);
    else if (outputs_are_closed(r) && r->end == GOES_ON)
        guard_release(&r->process);
}

/* Whoever still holds the outputs is beyond reach: it is not waited for. */
static void on_patience_over(uv_timer_t *timer) {
    run *r = timer->data;
    if (!r->exited)
        guard_kill(&r->process);
    handle_close(&r->input, on_closed);
    handle_close(&r->out.pipe, on_closed);
    handle_close(&r->err.pipe, on_closed);
    close_if_over(r);
}

static void stop(run *r, run_end why) {
    if (r->end != GOES_ON || uv_is_closing((uv_handle_t *)&r->timer))
        return;
    r->end = why;
    if (!r->exited)
        guard_stop(&r->process);
    uv_timer_start(&r->timer, on_patience_over, KILL_AFTER_MS, 0);
}

static void on_time_over(uv_timer_t *timer) {
    stop(timer->data, TIMED_OUT);
}

static void cancel_run(wait *w) {
    stop((run *)w, STOPPED);
}

static void on_ended(uv_process_t *process, int64_t status, int number) {
    run *r = process->data;
    r->exited = true;
    guard_free(r->program);
    r->status = status;
    r->signal = number;
    handle_close(&r->input, on_closed);
    close_if_over(r);
}

/* ---- reading and writing ---- */

static void give_room(uv_handle_t *pipe, size_t suggested, uv_buf_t *buffer) {
    (void)suggested;
    run *r = pipe->data;
    output *o = pipe == (uv_handle_t *)&r->out.pipe ? &r->out : &r->err;
    if (o->room - o->length < READ_SIZE) {
        size_t room = o->room * 2 + READ_SIZE;
        char *larger = realloc(o->text, room);
        if (!larger) {
            *buffer = uv_buf_init(NULL, 0);
            return;
        }
        o->text = larger;
        o->room = room;
    }
    *buffer = uv_buf_init(o->text + o->length, READ_SIZE);
}

static void on_output(uv_stream_t *pipe, ssize_t count, const uv_buf_t *buffer) {
    (void)buffer;
    run *r = pipe->data;
    output *o = pipe == (uv_stream_t *)&r->out.pipe ? &r->out : &r->err;
    if (count < 0) {
        handle_close(pipe, on_closed);
        close_if_over(r);
        return;
    }
    if (r->end == GOES_ON)
        o->length += (size_t)count;
    if (o->length > r->limit)
        stop(r, TOO_LONG);
}

/* A program may end without reading its input: that is no error. */
static void on_written(uv_write_t *write, int status) {
    (void)status;
    run *r = write->data;
    handle_close(&r->input, on_closed);
}

/* ---- starting ---- */

/* Pushes the block that `argv` of the child points into, and returns it. */
static char **push_arguments(lua_State *L, int index) {
    luaL_checktype(L, index, LUA_TTABLE);
    size_t count = lua_objlen(L, index);
    luaL_argcheck(L, count > 0 && count <= MOST_ARGUMENTS, index, "a list of 1 to 4096 arguments");
    char **arguments = lua_newuserdata(L, (count + 1) * sizeof *arguments);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (int)i + 1);
        size_t length;
        /* The list keeps the string alive: the Lua side made it of strings only. */
        luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, index, "arguments must be strings");
        arguments[i] = (char *)lua_tolstring(L, -1, &length);
        if (strlen(arguments[i]) != length)
            error_raise(L, "usage", "argument %zu of %s contains a NUL byte", i, arguments[0]);
        lua_pop(L, 1);
    }
    arguments[count] = NULL;
    return arguments;
}

typedef struct {
    char *text[MOST_SETTINGS]; /* NAME=VALUE, or NAME alone to leave it out */
    size_t name_length[MOST_SETTINGS];
    size_t count;
} settings;

/* Appends the setting whose name and value are on top of the stack; its memory stays on the stack below them.
 */
static void add_setting(lua_State *L, settings *s) {
    size_t name_length, value_length = 0;
    const char *name = luaL_checklstring(L, -2, &name_length);
    bool leave_out = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
    const char *value = leave_out ? "" : secret_tolstring(L, -1, &value_length);
    if (name_length == 0 || strchr(name, '=') || strlen(name) != name_length ||
        memchr(value, '\0', value_length))
        error_raise(L, "usage", "the environment cannot hold a variable named '%s' with this value", name);
    if (s->count == MOST_SETTINGS)
        error_raise(L, "usage", "more than %d environment variables", MOST_SETTINGS);
    char *text = lua_newuserdata(L, name_length + value_length + 2);
    memcpy(text, name, name_length);
    text[name_length] = '\0';
    if (!leave_out) {
        text[name_length] = '=';
        memcpy(text + name_length + 1, value, value_length);
        text[name_length + 1 + value_length] = '\0';
    }
    s->name_length[s->count] = name_length;
    s->text[s->count++] = text;
    lua_insert(L, -3);
}

static bool is_set(const settings *s, const char *variable) {
    size_t length = strcspn(variable, "=");
    for (size_t i = 0; i < s->count; i++)
        if (s->name_length[i] == length && memcmp(s->text[i], variable, length) == 0)
            return true;
    return false;
}

/* Pushes hostler's own environment, without what is private, changed by the table at this index, and its
 * parts. */
static char **push_environment(lua_State *L, int index, settings *s) {
    s->count = 0;
    luaL_checkstack(L, MOST_SETTINGS + 8, "environment");
    if (lua_istable(L, index)) {
        lua_pushnil(L);
        while (lua_next(L, index)) {
            add_setting(L, s);
            lua_pop(L, 1);
        }
    }
    size_t inherited = 0;
    while (environ[inherited])
        inherited++;
    char **environment = lua_newuserdata(L, (inherited + s->count + 1) * sizeof *environment);
    size_t count = 0;
    for (size_t i = 0; i < inherited; i++)
        if (!is_set(s, environ[i]) && !environment_is_private(environ[i]))
            environment[count++] = environ[i];
    for (size_t i = 0; i < s->count; i++)
        if (s->text[i][s->name_length[i]] == '=')
            environment[count++] = s->text[i];
    environment[count] = NULL;
    return environment;
}

static void open_handles(run *r) {
    uv_loop_t *loop = task_loop();
    uv_pipe_init(loop, &r->input, 0);
    uv_pipe_init(loop, &r->out.pipe, 0);
    uv_pipe_init(loop, &r->err.pipe, 0);
    uv_timer_init(loop, &r->timer);
    r->process.data = r->input.data = r->out.pipe.data = r->err.pipe.data = r->timer.data = r;
    r->write.data = r;
    r->open_handles = 5;
}

/* Starts the program, or leaves in r->problem why it did not start. Raises nothing. */
static void start(run *r, uv_process_options_t *options, const char *input, size_t input_length) {
    open_handles(r);
    uv_stdio_container_t stdio[3] = {
        {.flags = input ? UV_CREATE_PIPE | UV_READABLE_PIPE : UV_IGNORE,
         .data.stream = (uv_stream_t *)&r->input},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&r->out.pipe},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&r->err.pipe},
    };
    options->stdio = stdio;
    options->stdio_count = 3;
    options->exit_cb = on_ended;
    /* Whatever a library opened: no descriptor but the three above reaches the program. */
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    r->problem = guard_spawn(task_loop(), &r->process, options, &r->program);
    if (r->problem) {
        close_everything(r);
        return;
    }
    uv_read_start((uv_stream_t *)&r->out.pipe, give_room, on_output);
    uv_read_start((uv_stream_t *)&r->err.pipe, give_room, on_output);
    uv_buf_t buffer = uv_buf_init((char *)input, (unsigned)input_length);
    if (!input || uv_write(&r->write, (uv_stream_t *)&r->input, &buffer, 1, on_written))
        handle_close(&r->input, on_closed);
    if (r->timeout > 0) {
        uv_update_time(task_loop());
        uv_timer_start(&r->timer, on_time_over, (uint64_t)(r->timeout * 1000 + 0.5), 0);
    }
}

/* ---- the result ---- */

static void set_tail(lua_State *L, const char *field, const output *o) {
    size_t length;
    char *tail = scrub_end(o->length ? o->text : "", o->length, TAIL_SIZE, &length);
    error_set_text(L, field, tail, length);
    free(tail);
}

static const char *program_of(lua_State *L) {
    lua_getfenv(L, 1);
    lua_rawgeti(L, -1, 1);
    return lua_tostring(L, -1);
}

/* The PATH that was searched: the one given in `env`, else hostler's own. */
static const char *path_of(lua_State *L) {
    lua_getfenv(L, 1);
    lua_getfield(L, -1, "path");
    return lua_isstring(L, -1) ? lua_tostring(L, -1) : getenv("PATH");
}

static int raise_spawn(lua_State *L, const run *r) {
    const char *program = program_of(L);
    if (r->problem != UV_ENOENT || strchr(program, '/')) {
        error_push(L, "sh.spawn", "cannot run %s: %s", program, uv_strerror(r->problem));
    } else {
        const char *path = path_of(L);
        char hint[1024];
        scrub_format(hint, sizeof hint, "PATH is %s", path ? path : "not set");
        error_push(L, "sh.spawn", "there is no program '%s' on this machine", program);
        error_set(L, "hint", hint);
    }
    error_set_boolean(L, "unclear", false);
    return lua_error(L);
}

static void push_failure(lua_State *L, const run *r) {
    const char *program = program_of(L);
    if (r->end == TIMED_OUT)
        error_push(L, "timeout", "%s did not end within %g s and was stopped", program, r->timeout);
    else if (r->end == TOO_LONG)
        error_push(L, "sh.output", "%s wrote more than %zu bytes and was stopped", program, r->limit);
    else if (r->signal)
        error_push(L, "sh.signal", "%s was ended by SIG%s", program,
                   sigabbrev_np(r->signal) ? sigabbrev_np(r->signal) : "?");
    else
        error_push(L, "sh.exit", "%s failed with exit status %d", program, (int)r->status);
    if (r->end == TIMED_OUT || r->end == TOO_LONG)
        error_set_boolean(L, "unclear", true);
}

static int finish_run(lua_State *L, wait *w) {
    run *r = (run *)w;
    if (r->problem)
        return raise_spawn(L, r);
    if (r->end != GOES_ON || r->signal || (r->check && r->status != 0)) {
        push_failure(L, r);
        set_tail(L, "stdout", &r->out);
        set_tail(L, "stderr", &r->err);
        error_set_integer(L, "status", (lua_Integer)r->status);
        if (r->signal)
            error_set_integer(L, "signal", r->signal);
        return lua_error(L);
    }
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, (lua_Integer)r->status);
    lua_setfield(L, -2, "status");
    lua_pushlstring(L, r->out.length ? r->out.text : "", r->out.length);
    lua_setfield(L, -2, "stdout");
    lua_pushlstring(L, r->err.length ? r->err.text : "", r->err.length);
    lua_setfield(L, -2, "stderr");
    return 1;
}

static int run_gc(lua_State *L) {
    run *r = lua_touserdata(L, 1);
    free(r->out.text);
    free(r->err.text);
    return 0;
}

/* Keeps what the running program needs, and what its errors name, alive with the run. */
static void keep(lua_State *L, int run_index, const char *program) {
    lua_createtable(L, 2, 1);
    lua_pushstring(L, program);
    lua_rawseti(L, -2, 1);
    lua_getfield(L, 2, "stdin");
    lua_rawseti(L, -2, 2);
    lua_getfield(L, 2, "env");
    if (lua_istable(L, -1)) {
        lua_getfield(L, -1, "PATH");
        lua_setfield(L, -3, "path");
    }
    lua_pop(L, 1);
    lua_setfenv(L, run_index);
}

static void check_directory(lua_State *L, const char *path) {
    struct stat status;
    bool there = stat(path, &status) == 0;
    if (there && S_ISDIR(status.st_mode))
        return;
    error_push(L, "sh.spawn", "cannot run anything in %s: %s", path,
               there ? "it is not a directory" : strerror(errno));
    error_set_boolean(L, "unclear", false);
    lua_error(L);
}

/* run(argv, {stdin, env, cwd, timeout, limit, check}) -> {status, stdout, stderr} */
static int run_lua(lua_State *L) {
    if (!task_in_effect())
        return error_raise(L, "internal", "sh.run was called outside an effect");
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    run *r = wait_new(L, sizeof *r, cancel_run, finish_run);
    luaL_getmetatable(L, RUN_TYPE);
    lua_setmetatable(L, 3);
    r->wait.what = "sh.run";
    lua_getfield(L, 2, "timeout");
    lua_getfield(L, 2, "limit");
    lua_getfield(L, 2, "check");
    r->timeout = luaL_optnumber(L, 4, 0);
    r->limit = (size_t)luaL_optnumber(L, 5, DEFAULT_LIMIT);
    r->check = lua_isnil(L, 6) || lua_toboolean(L, 6);

    uv_process_options_t options = {0};
    options.args = push_arguments(L, 1);
    options.file = options.args[0];
    lua_getfield(L, 2, "cwd");
    options.cwd = luaL_optstring(L, -1, NULL);
    if (options.cwd)
        check_directory(L, options.cwd);
    lua_getfield(L, 2, "stdin");
    size_t input_length = 0;
    const char *input = lua_isnil(L, -1) ? NULL : secret_tolstring(L, -1, &input_length);
    keep(L, 3, options.file);
    lua_getfield(L, 2, "env");
    settings changed;
    options.env = push_environment(L, lua_gettop(L), &changed);
    start(r, &options, input, input_length);
    for (size_t i = 0; i < changed.count; i++)
        explicit_bzero(changed.text[i], strlen(changed.text[i]));
    lua_pushvalue(L, 3);
    return wait_park(L, &r->wait);
}

int program_open(lua_State *L) {
    static const luaL_Reg waiting[] = {{"run", run_lua}, {NULL, NULL}};
    luaL_newmetatable(L, RUN_TYPE);
    lua_pushcfunction(L, run_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_newtable(L);
    task_register(L, waiting);
    return 1;
}
