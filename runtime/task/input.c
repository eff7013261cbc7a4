/* See input.h. */
#include "task/input.h"

#include "base/error.h"
#include "task/handle.h"
#include "task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define LONGEST_ANSWER 65536

typedef struct {
    wait wait;
    uv_poll_t poll;
    size_t length;
    char text[LONGEST_ANSWER];
    bool ended;
    int flags; /* of the descriptor, before libuv made it non-blocking: output to the terminal shares them */
} line_wait;

static void line_closed(uv_handle_t *handle) {
    fcntl(STDIN_FILENO, F_SETFL, ((line_wait *)handle->data)->flags);
    wait_done(handle->data);
}

static void stop_reading(line_wait *line) {
    handle_close(&line->poll, line_closed);
}

/* Reads what there is of the line; true at its end. Byte by byte, so that what follows the line stays for
 * whoever reads next. */
static bool read_rest(line_wait *line) {
    for (;;) {
        char byte;
        ssize_t count = read(STDIN_FILENO, &byte, 1);
        if (count < 0 && (errno == EAGAIN || errno == EINTR))
            return false;
        line->ended = count <= 0;
        if (count <= 0 || byte == '\n' || line->length == LONGEST_ANSWER)
            return true;
        line->text[line->length++] = byte;
    }
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    (void)events;
    line_wait *line = (line_wait *)((wait *)poll->data);
    line->ended = status < 0;
    if (status < 0 || read_rest(line))
        stop_reading(line);
}

static void cancel_line(wait *w) {
    stop_reading((line_wait *)w);
}

static int finish_line(lua_State *L, wait *w) {
    line_wait *line = (line_wait *)w;
    if (line->ended && line->length == 0)
        lua_pushnil(L);
    else
        lua_pushlstring(L, line->text, line->length);
    return 1;
}

/* read_line() -> a line from standard input without its newline, or nil at its end. Waits. */
static int read_line_lua(lua_State *L) {
    line_wait *line = wait_new(L, sizeof *line, cancel_line, finish_line);
    line->wait.what = "an answer";
    line->flags = fcntl(STDIN_FILENO, F_GETFL);
    int problem = uv_poll_init(task_loop(), &line->poll, STDIN_FILENO);
    if (problem == UV_EPERM && read_rest(line)) { /* a file: it never keeps anybody waiting */
        wait_done(&line->wait);
        return wait_park(L, &line->wait);
    }
    if (problem)
        return error_raise(L, "input", "cannot read an answer: %s", uv_strerror(problem));
    line->poll.data = &line->wait;
    uv_poll_start(&line->poll, UV_READABLE, on_readable);
    return wait_park(L, &line->wait);
}

void input_add(lua_State *L) {
    static const luaL_Reg waiting[] = {{"read_line", read_line_lua}, {NULL, NULL}};
    task_register(L, waiting);
}
