/* See local_socket.h. */
#define _GNU_SOURCE /* accept4, O_PATH, ucred */
#include "net/local_socket.h"

#include "base/error.h"
#include "base/files.h"
#include "base/outcome.h"
#include "task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_TYPE "hostler.local_socket"
#define LONGEST_LINE (64 * 1024)
#define MOST_QUEUED (256 * 1024)
#define BACKLOG 8

/* Owned by libuv from its making to the end of its closing; the userdata points to it until it is closed. */
typedef struct {
    uv_poll_t poll;
    int fd;
    wait *reader; /* who waits for it to become ready, or NULL */
    bool ended;   /* the peer is gone, or sent a line that is too long */
    size_t received, queued;
    char in[LONGEST_LINE];
    char out[MOST_QUEUED];
} local_socket;

typedef struct {
    wait wait;
    local_socket *socket;
} ready_wait;

static local_socket *check_socket(lua_State *L) {
    local_socket **handle = luaL_checkudata(L, 1, SOCKET_TYPE);
    if (!*handle)
        error_raise(L, "socket", "this connection is closed");
    return *handle;
}

/* ---- the loop's side ---- */

static void on_event(uv_poll_t *poll, int status, int events);

static void update_events(local_socket *s) {
    int events = (s->reader ? UV_READABLE : 0) | (s->queued > 0 ? UV_WRITABLE : 0);
    if (events)
        uv_poll_start(&s->poll, events, on_event);
    else
        uv_poll_stop(&s->poll);
}

static void wake_reader(local_socket *s) {
    if (s->reader)
        wait_done(s->reader);
    s->reader = NULL;
}

static void end(local_socket *s) {
    s->ended = true;
    s->queued = 0;
    wake_reader(s);
}

static void flush(local_socket *s) {
    ssize_t count = send(s->fd, s->out, s->queued, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno != EAGAIN && errno != EINTR) {
        end(s);
    } else if (count > 0) {
        s->queued -= (size_t)count;
        memmove(s->out, s->out + count, s->queued);
    }
}

static void on_event(uv_poll_t *poll, int status, int events) {
    local_socket *s = (local_socket *)poll;
    if (status < 0)
        end(s);
    if (events & UV_WRITABLE)
        flush(s);
    if (events & UV_READABLE)
        wake_reader(s);
    update_events(s);
}

static void on_closed(uv_handle_t *handle) {
    local_socket *s = (local_socket *)handle;
    close(s->fd);
    free(s);
}

static void close_socket(local_socket *s) {
    wake_reader(s);
    uv_close((uv_handle_t *)&s->poll, on_closed);
}

/* ---- making one ---- */

/* Pushes the socket of a descriptor, which it owns from here on. One that only listens keeps no loop alive.
 */
static int push_socket(lua_State *L, int fd, bool listens) {
    local_socket **handle = lua_newuserdata(L, sizeof *handle);
    *handle = NULL;
    luaL_getmetatable(L, SOCKET_TYPE);
    lua_setmetatable(L, -2);
    local_socket *s = calloc(1, sizeof *s);
    if (!s || uv_poll_init(task_loop(), &s->poll, fd)) {
        free(s);
        close(fd);
        return luaL_error(L, "no memory for a connection");
    }
    if (listens)
        uv_unref((uv_handle_t *)&s->poll);
    s->fd = fd;
    *handle = s;
    return 1;
}

/* An address may be 107 bytes long, a path longer: it goes by the directory's descriptor. Returns the
 * descriptor, or -1. */
static int find_address(lua_State *L, struct sockaddr_un *address) {
    const char *directory = luaL_checkstring(L, 1), *name = luaL_checkstring(L, 2);
    int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", fd, name);
    return fd;
}

static bool is_one_of_us(int fd) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
        return false;
    return peer.uid == geteuid() || peer.uid == 0;
}

static int new_socket(void) {
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* The mode is that of the socket before it has a name: there is no moment at which others may connect. */
static int listen_lua(lua_State *L) {
    struct sockaddr_un address;
    lua_pushfstring(L, "%s/%s", luaL_checkstring(L, 1), luaL_checkstring(L, 2));
    int problem = files_make_private_parent(lua_tostring(L, -1));
    int directory = problem ? -1 : find_address(L, &address), fd = directory < 0 ? -1 : new_socket();
    if (!problem && (fd < 0 || fchmod(fd, 0600) || bind(fd, (struct sockaddr *)&address, sizeof address) ||
                     listen(fd, BACKLOG)))
        problem = errno;
    if (directory >= 0)
        close(directory);
    if (!problem)
        return push_socket(L, fd, true);
    if (fd >= 0)
        close(fd);
    return outcome_push(L, problem);
}

/* Root may join anybody's run; everybody else only talks to their own processes, and root's. */
static int connect_lua(lua_State *L) {
    struct sockaddr_un address;
    int directory = find_address(L, &address), fd = directory < 0 ? -1 : new_socket(), problem = 0;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        problem = errno;
    else if (geteuid() != 0 && !is_one_of_us(fd))
        problem = EACCES;
    if (directory >= 0)
        close(directory);
    if (!problem)
        return push_socket(L, fd, false);
    if (fd >= 0)
        close(fd);
    return outcome_push(L, problem);
}

static int remove_lua(lua_State *L) {
    lua_pushfstring(L, "%s/%s", luaL_checkstring(L, 1), luaL_checkstring(L, 2));
    unlink(lua_tostring(L, -1));
    return 0;
}

static int pair_lua(lua_State *L) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends))
        return luaL_error(L, "no connection to a process of our own: %s", strerror(errno));
    push_socket(L, ends[0], false);
    lua_pushinteger(L, ends[1]);
    return 2;
}

static int adopt_lua(lua_State *L) {
    int fd = fcntl((int)luaL_checkinteger(L, 1), F_DUPFD_CLOEXEC, 3);
    return fd < 0 ? outcome_push(L, errno) : push_socket(L, fd, false);
}

static int accept_lua(lua_State *L) {
    int fd = accept4(check_socket(L)->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return 0;
    if (is_one_of_us(fd))
        return push_socket(L, fd, false);
    close(fd);
    return 0;
}

/* ---- using one ---- */

static bool has_line(const local_socket *s) {
    return memchr(s->in, '\n', s->received) != NULL;
}

static void cancel_ready(wait *w) {
    ready_wait *r = (ready_wait *)w;
    r->socket->reader = NULL;
    update_events(r->socket);
    wait_done(w);
}

static int finish_ready(lua_State *L, wait *w) {
    (void)L, (void)w;
    return 0;
}

static int ready_lua(lua_State *L) {
    local_socket *s = check_socket(L);
    if (s->reader)
        return error_raise(L, "socket", "another task waits for this connection");
    ready_wait *r = wait_new(L, sizeof *r, cancel_ready, finish_ready);
    r->wait.what = "a connection";
    r->socket = s;
    if (s->ended || has_line(s)) {
        wait_done(&r->wait);
    } else {
        s->reader = &r->wait;
        update_events(s);
    }
    return wait_park(L, &r->wait);
}

static int receive_lua(lua_State *L) {
    local_socket *s = check_socket(L);
    if (!has_line(s) && !s->ended) {
        ssize_t count = recv(s->fd, s->in + s->received, sizeof s->in - s->received, MSG_DONTWAIT);
        s->received += count > 0 ? (size_t)count : 0;
        if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR))
            s->ended = true;
    }
    char *newline = memchr(s->in, '\n', s->received);
    if (newline) {
        size_t length = (size_t)(newline - s->in);
        lua_pushlstring(L, s->in, length);
        s->received -= length + 1;
        memmove(s->in, newline + 1, s->received);
        return 1;
    }
    s->ended = s->ended || s->received == sizeof s->in;
    if (!s->ended)
        return 0;
    lua_pushboolean(L, false);
    return 1;
}

static int send_lua(lua_State *L) {
    local_socket *s = check_socket(L);
    size_t length;
    const char *line = luaL_checklstring(L, 2, &length);
    bool fits = !s->ended && length < sizeof s->out - s->queued;
    if (fits) {
        memcpy(s->out + s->queued, line, length);
        s->out[s->queued + length] = '\n';
        s->queued += length + 1;
        flush(s);
        update_events(s);
    }
    lua_pushboolean(L, fits);
    return 1;
}

static int queued_lua(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)check_socket(L)->queued);
    return 1;
}

/* Also its __gc. */
static int close_lua(lua_State *L) {
    local_socket **handle = luaL_checkudata(L, 1, SOCKET_TYPE);
    if (*handle)
        close_socket(*handle);
    *handle = NULL;
    return 0;
}

int local_socket_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"listen", listen_lua},
        {"connect", connect_lua},
        {"remove", remove_lua},
        {"pair", pair_lua},
        {"adopt", adopt_lua},
        {"accept", accept_lua},
        {"receive", receive_lua},
        {"send", send_lua},
        {"queued", queued_lua},
        {"close", close_lua},
        {NULL, NULL},
    };
    static const luaL_Reg waiting[] = {{"ready", ready_lua}, {NULL, NULL}};
    luaL_newmetatable(L, SOCKET_TYPE);
    lua_pushcfunction(L, close_lua);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    task_register(L, waiting);
    return 1;
}
