/* See stream.h. */
#include "task/stream.h"

#include "base/files.h"
#include "base/outcome.h"
#include "base/text.h"
#include "task/handle.h"
#include "task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TYPE "hostler.stream"
#define PART 65536

typedef struct stream stream;
struct stream {
    wait wait;
    uv_poll_t poll;
    int fd, problem;
    bool is_shared; /* with others who have the socket; its flags were these before libuv set more */
    int flags;
    int (*go_on)(stream *); /* EAGAIN when it has to wait; else it is done, with 0 or a problem */
    text_buffer read;
    size_t most;
    const char *to_write; /* kept alive by the userdata's environment */
    size_t left;
};

static bool is_fifo(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISFIFO(status.st_mode);
}

/* The descriptor of a name for what this process was started with, or -1. Where that is a socket it cannot be
 * opened again. */
static int inherited(const char *path) {
    static const char *const names[] = {"/dev/stdin", "/dev/stdout", "/dev/stderr"};
    for (int fd = 0; fd < 3; fd++)
        if (strcmp(path, names[fd]) == 0)
            return fd;
    return -1;
}

bool stream_is(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode) ||
                                        (S_ISSOCK(status.st_mode) && inherited(path) >= 0));
}

/* ---- parts ---- */

static int read_on(stream *s) {
    char part[PART];
    for (;;) {
        ssize_t count = read(s->fd, part, sizeof part);
        if (count == 0)
            return 0;
        if (count < 0 && errno != EINTR)
            return errno;
        text_add(&s->read, part, count > 0 ? (size_t)count : 0);
        if (s->read.length > s->most)
            return EFBIG;
    }
}

static int write_on(stream *s) {
    while (s->left > 0) {
        ssize_t count = write(s->fd, s->to_write, s->left);
        if (count < 0 && errno != EINTR)
            return errno;
        s->to_write += count > 0 ? count : 0;
        s->left -= count > 0 ? (size_t)count : 0;
    }
    return 0;
}

/* ---- the end ---- */

static void close_file(stream *s) {
    if (s->fd >= 0 && s->is_shared)
        fcntl(s->fd, F_SETFL, s->flags);
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static void on_closed(uv_handle_t *handle) {
    stream *s = (stream *)((wait *)handle->data);
    close_file(s);
    wait_done(&s->wait);
}

static void end(stream *s, int problem) {
    s->problem = problem;
    handle_close(&s->poll, on_closed);
}

static void cancel(wait *w) {
    end((stream *)w, ECANCELED);
}

static int finish_read(lua_State *L, wait *w) {
    stream *s = (stream *)w;
    if (s->problem)
        return outcome_push(L, s->problem);
    lua_pushlstring(L, s->read.length ? s->read.text : "", s->read.length);
    return 1;
}

static int finish_write(lua_State *L, wait *w) {
    return outcome_push(L, ((stream *)w)->problem);
}

static int stream_gc(lua_State *L) {
    stream *s = lua_touserdata(L, 1);
    close_file(s);
    text_free(&s->read);
    return 0;
}

/* ---- the beginning ---- */

static void on_ready(uv_poll_t *poll, int status, int events) {
    stream *s = (stream *)((wait *)poll->data);
    (void)events;
    /* libuv says EBADF when the other end is gone: the call itself says why it cannot go on. */
    int problem = status < 0 && status != UV_EBADF ? -status : s->go_on(s);
    if (problem != EAGAIN)
        end(s, problem);
    else if (status == UV_EBADF)
        end(s, EPIPE);
}

/* Never waits, and is no block device: these are looked at before they are opened, for that may do something.
 */
static int open_file(const char *path, int flags, stream *s) {
    struct stat status;
    if (stat(path, &status))
        return errno;
    s->is_shared = S_ISSOCK(status.st_mode) && inherited(path) >= 0;
    if (S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode) || (S_ISSOCK(status.st_mode) && !s->is_shared))
        return files_judge(&status);
    s->fd = s->is_shared ? fcntl(inherited(path), F_DUPFD_CLOEXEC, 3)
                         : open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (s->fd < 0)
        return errno;
    s->flags = fcntl(s->fd, F_GETFL);
    return 0;
}

/* The first look: a FIFO that nobody has written to yet must not be taken for one that is at its end. */
static int begin(lua_State *L, stream *s, int events) {
    struct stat status;
    bool may_wait = fstat(s->fd, &status) == 0 && !S_ISREG(status.st_mode);
    int problem = may_wait ? EAGAIN : s->go_on(s);
    if (problem == EAGAIN) {
        int refusal = uv_poll_init(task_loop(), &s->poll, s->fd);
        s->poll.data = &s->wait;
        if (!refusal) {
            uv_poll_start(&s->poll, events, on_ready);
            return wait_park(L, &s->wait);
        }
        /* Nobody has ever to wait for a device of this kind. */
        problem = refusal == UV_EPERM && may_wait ? s->go_on(s) : -refusal;
    }
    s->problem = problem;
    close_file(s);
    wait_done(&s->wait);
    return wait_park(L, &s->wait);
}

static stream *new_stream(lua_State *L, int (*finish)(lua_State *, wait *), int (*go_on)(stream *)) {
    stream *s = wait_new(L, sizeof *s, cancel, finish);
    s->fd = -1;
    s->go_on = go_on;
    luaL_getmetatable(L, TYPE);
    lua_setmetatable(L, -2);
    return s;
}

static int push_unopened(lua_State *L, const char *path, int problem) {
    if (problem == ENXIO && is_fifo(path))
        return outcome_push_refusal(L, "it is a FIFO, and nobody reads it");
    return outcome_push(L, problem);
}

int stream_hold_lua(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    stream *s = new_stream(L, NULL, NULL);
    int problem = open_file(path, O_WRONLY, s);
    return problem ? push_unopened(L, path, problem) : 1;
}

int stream_is_lua(lua_State *L) {
    lua_pushboolean(L, stream_is(luaL_checkstring(L, 1)));
    return 1;
}

int stream_read_lua(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    size_t most = (size_t)luaL_checknumber(L, 2);
    stream *s = new_stream(L, finish_read, read_on);
    int problem = open_file(path, O_RDONLY, s);
    s->wait.what = "a file";
    s->most = most;
    return problem ? outcome_push(L, problem) : begin(L, s, UV_READABLE);
}

int stream_write_lua(lua_State *L) {
    size_t length;
    const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &length);
    stream *s = new_stream(L, finish_write, write_on);
    int problem = open_file(path, O_WRONLY, s);
    lua_newtable(L);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, -2);
    s->wait.what = "whoever reads a file";
    s->to_write = text;
    s->left = length;
    return problem ? push_unopened(L, path, problem) : begin(L, s, UV_WRITABLE);
}

void stream_open(lua_State *L) {
    luaL_newmetatable(L, TYPE);
    lua_pushcfunction(L, stream_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}
