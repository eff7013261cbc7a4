/* The line editor as the prelude sees it: a line is waited for like anything else. */
#include "prompt/line_editor.h"

#include "base/error.h"
#include "task/handle.h"
#include "task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

typedef struct {
    wait wait;
    uv_poll_t poll;
    line_outcome outcome;
    bool ended; /* the terminal is gone */
} line_wait;

static void line_closed(uv_handle_t *handle) {
    wait_done(handle->data);
}

static void stop_reading(line_wait *line) {
    handle_close(&line->poll, line_closed);
}

/* Byte by byte, so that what follows the line stays for whoever reads next. A Ctrl-C comes before what is
 * still to be read: the terminal has dropped what was typed before it. */
static void on_typed(uv_poll_t *poll, int status, int events) {
    (void)events;
    line_wait *line = (line_wait *)((wait *)poll->data);
    int available = 0;
    ioctl(STDIN_FILENO, FIONREAD, &available);
    do {
        task_deliver_signals();
        if (uv_is_closing((uv_handle_t *)poll))
            return;
        char byte;
        ssize_t count = status < 0 ? 0 : read(STDIN_FILENO, &byte, 1);
        if (count < 0 && (errno == EINTR || errno == EAGAIN))
            return;
        line->ended = count <= 0;
        line->outcome = count > 0 ? line_editor_take(byte) : LINE_ENDED;
    } while (line->outcome == LINE_GOES_ON && --available > 0);
    if (line->outcome != LINE_GOES_ON)
        stop_reading(line);
}

/* Ctrl-C: the line is left as it is, and another begun. */
static void cancel_line(wait *w) {
    line_editor_end("^C");
    stop_reading((line_wait *)w);
}

static int push_line(lua_State *L) {
    size_t cursor = 0;
    char *text = line_editor_text(&cursor);
    lua_pushstring(L, text);
    free(text);
    lua_pushinteger(L, (lua_Integer)cursor);
    return 2;
}

static int finish_line(lua_State *L, wait *w) {
    line_wait *line = (line_wait *)w;
    if (line->outcome == LINE_ENDED) {
        line_editor_end("");
        lua_pushnil(L);
        return 1;
    }
    lua_pushstring(L, line->outcome == LINE_ENTERED ? "line" : "complete");
    int count = push_line(L);
    if (line->outcome == LINE_ENTERED)
        line_editor_end("");
    return count + 1;
}

/* read(label) -> "line", text; or "complete", text, cursor, and the line stays open for the next read; nil at
 * its end. Waits. */
static int read_line(lua_State *L) {
    const char *label = luaL_checkstring(L, 1);
    line_wait *line = wait_new(L, sizeof *line, cancel_line, finish_line);
    line->wait.what = "a line";
    if (!line_editor_begin(label))
        return error_raise(L, "input", "this terminal cannot be used for editing");
    int flags = fcntl(STDIN_FILENO, F_GETFL);
    int problem = uv_poll_init(task_loop(), &line->poll, STDIN_FILENO);
    fcntl(STDIN_FILENO, F_SETFL, flags); /* libuv makes it non-blocking, and the output would be that too */
    if (problem) {
        line_editor_end("");
        return error_raise(L, "input", "cannot read from the terminal: %s", uv_strerror(problem));
    }
    line->poll.data = &line->wait;
    uv_poll_start(&line->poll, UV_READABLE, on_typed);
    return wait_park(L, &line->wait);
}

/* text() -> the line that is open, and the bytes before its cursor */
static int text_lua(lua_State *L) {
    return push_line(L);
}

static int insert_lua(lua_State *L) {
    line_editor_insert(luaL_checkstring(L, 1));
    return 0;
}

static int remember_lua(lua_State *L) {
    line_editor_remember(luaL_checkstring(L, 1));
    return 0;
}

/* close(last_words): ends the line that is open, if there is one. */
static int close_lua(lua_State *L) {
    line_editor_end(luaL_checkstring(L, 1));
    return 0;
}

int line_editor_lua_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"insert", insert_lua},
                                         {"text", text_lua},
                                         {"remember", remember_lua},
                                         {"close", close_lua},
                                         {NULL, NULL}};
    static const luaL_Reg waiting[] = {{"read", read_line}, {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    task_register(L, waiting);
    return 1;
}
