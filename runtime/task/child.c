/* A process of hostler's own that goes through runs.
 *
 * It is in a session of its own, so that signals of the terminal reach the worker alone. Its descriptor 3 is
 * a connection to the worker, whose end asks the process to stop, and comes by itself when the worker dies.
 */
#include "task/child.h"

#include "base/error.h"
#include "task/handle.h"
#include "task/task.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define MOST_ARGUMENTS 16
#define KILL_AFTER_MS 60000 /* after the wait for it was cancelled */

typedef struct {
    wait wait;
    uv_process_t process;
    uv_timer_t patience;
    int open_handles;
    int64_t status;
    int signal;
} child;

static void on_closed(uv_handle_t *handle) {
    child *c = handle->data;
    if (--c->open_handles == 0)
        wait_done(&c->wait);
}

static void on_ended(uv_process_t *process, int64_t status, int number) {
    child *c = process->data;
    c->status = status;
    c->signal = number;
    handle_close(&c->process, on_closed);
    handle_close(&c->patience, on_closed);
}

static void on_patience_over(uv_timer_t *timer) {
    uv_process_kill(&((child *)timer->data)->process, SIGKILL);
}

static void be_patient(wait *w) {
    child *c = (child *)w;
    if (!uv_is_closing((uv_handle_t *)&c->patience))
        uv_timer_start(&c->patience, on_patience_over, KILL_AFTER_MS, 0);
}

static int finish(lua_State *L, wait *w) {
    lua_pushinteger(L, (lua_Integer)((child *)w)->status);
    lua_pushinteger(L, ((child *)w)->signal);
    return 2;
}

static void open_handles(child *c) {
    uv_timer_init(task_loop(), &c->patience);
    c->patience.data = c->process.data = c;
    c->open_handles = 2;
}

/* run(arguments, descriptor) -> exit status, signal. The descriptor becomes the process's. Cancelled, it
 * waits for the end all the same, but not for ever: who closes the other end of the connection asks for it.
 */
static int run_lua(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    int count = (int)lua_objlen(L, 1), connection = (int)luaL_checkinteger(L, 2);
    luaL_argcheck(L, count > 0 && count <= MOST_ARGUMENTS, 1, "a list of a program and its arguments");
    char *arguments[MOST_ARGUMENTS + 1] = {NULL};
    luaL_checkstack(L, count + 2, NULL);
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, 1, i + 1);
        arguments[i] = (char *)luaL_checkstring(L, -1);
    }
    child *c = wait_new(L, sizeof *c, be_patient, finish);
    c->wait.what = "a run";
    open_handles(c);
    uv_stdio_container_t files[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
        {.flags = UV_INHERIT_FD, .data.fd = connection},
    };
    uv_process_options_t options = {.exit_cb = on_ended,
                                    .file = arguments[0],
                                    .args = arguments,
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio_count = 4,
                                    .stdio = files};
    int problem = uv_spawn(task_loop(), &c->process, &options);
    close(connection);
    if (problem) /* it ends at once, as a process that could not begin */
        on_ended(&c->process, 127, 0);
    return wait_park(L, &c->wait);
}

int child_open(lua_State *L) {
    static const luaL_Reg waiting[] = {{"run", run_lua}, {NULL, NULL}};
    lua_newtable(L);
    task_register(L, waiting);
    return 1;
}
