/* Local ports that lead, through a host, to a server that the host can reach.
 *
 * A forward listens on the loopback interface. Each connection that it accepts becomes an operation of the
 * host's session: a channel, and the bytes between it and the socket. Whoever may use this machine's loopback
 * can connect too, as with `ssh -L`; the server behind it asks for its own credentials. */
#include "ssh_forward.h"

#include "error.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define FORWARD_TYPE "hostler.ssh.forward"
#define CHUNK (64 * 1024)
#define BACKLOG 16

typedef struct {
    uv_tcp_t tcp;
    ssh_session *session;
    char *address; /* what the host connects to */
    int port;
    int references;      /* the handle's, the userdata's, one of each open connection */
    ssh_failure failure; /* why the host could not connect, the last time */
} forward;

typedef struct {
    ssh_operation operation;
    forward *forward;
    ssh_buffer request; /* direct-tcpip's part of the open message, RFC 4254 section 7.2 */
    LIBSSH2_CHANNEL *channel;
    uv_tcp_t *socket; /* NULL once it is closed */
    ssh_buffer out;   /* read from the socket, for the channel */
    bool reading, socket_ended, channel_ended, told_end;
} connection;

static void forward_unref(forward *f) {
    if (--f->references > 0)
        return;
    session_unref(f->session);
    failure_free(&f->failure);
    free(f->address);
    free(f);
}

/* ---- one connection ---- */

static void free_handle(uv_handle_t *handle) {
    free(handle);
}

static void close_socket(connection *c) {
    if (!c->socket)
        return;
    c->socket->data = NULL;
    uv_close((uv_handle_t *)c->socket, free_handle);
    c->socket = NULL;
}

static void on_room(uv_handle_t *handle, size_t size, uv_buf_t *room) {
    static char chunk[CHUNK];
    (void)handle, (void)size;
    *room = uv_buf_init(chunk, sizeof chunk);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *bytes) {
    connection *c = stream->data;
    if (count == 0 || !c)
        return;
    if (count > 0)
        buffer_add(&c->out, bytes->base, (size_t)count);
    else
        c->socket_ended = true;
    if (count < 0 || c->out.length > HIGH_WATER) {
        uv_read_stop(stream);
        c->reading = false;
    }
    session_wake(c->operation.session);
}

static void on_written(uv_write_t *request, int status) {
    connection *c = request->handle->data;
    free(request->data);
    free(request);
    if (!c)
        return;
    c->socket_ended = c->socket_ended || status < 0;
    session_wake(c->operation.session);
}

static bool write_to_socket(connection *c, const char *bytes, size_t length) {
    uv_write_t *request = malloc(sizeof *request);
    char *copy = malloc(length);
    if (!request || !copy)
        abort();
    memcpy(copy, bytes, length);
    request->data = copy;
    uv_buf_t buffer = uv_buf_init(copy, (unsigned)length);
    if (uv_write(request, (uv_stream_t *)c->socket, &buffer, 1, on_written) == 0)
        return true;
    free(copy);
    free(request);
    return false;
}

/* Returns false while the channel is not open yet. */
static bool open_channel(connection *c) {
    int rc;
    ssh_session *s = c->operation.session;
    c->channel = operation_open_channel(&c->operation, "direct-tcpip", &c->request, &rc);
    if (c->channel)
        return true;
    if (rc != LIBSSH2_ERROR_EAGAIN && !session_note_error(s, rc, "while opening a forwarded connection")) {
        failure_free(&c->forward->failure);
        failure_set(&c->forward->failure, "ssh.unreachable", "%s cannot reach %s port %d", s->target.label,
                    c->forward->address, c->forward->port);
        close_socket(c);
    }
    return false;
}

static void send_to_channel(connection *c) {
    while (c->out.length > 0 && c->operation.session->out.length < HIGH_WATER) {
        ssize_t count = libssh2_channel_write(c->channel, c->out.data, c->out.length);
        if (count == LIBSSH2_ERROR_EAGAIN || count == 0)
            return;
        if (count < 0) {
            c->channel_ended = true;
            return;
        }
        buffer_drop(&c->out, (size_t)count);
    }
    if (c->out.length > 0)
        return;
    if (c->socket_ended && !c->told_end)
        c->told_end = libssh2_channel_send_eof(c->channel) != LIBSSH2_ERROR_EAGAIN;
    if (!c->socket_ended && !c->reading)
        c->reading = uv_read_start((uv_stream_t *)c->socket, on_room, on_read) == 0;
}

static void send_to_socket(connection *c) {
    static char chunk[CHUNK];
    while (uv_stream_get_write_queue_size((uv_stream_t *)c->socket) < HIGH_WATER) {
        ssize_t count = libssh2_channel_read(c->channel, chunk, sizeof chunk);
        if (count == LIBSSH2_ERROR_EAGAIN)
            return;
        if (count <= 0 || !write_to_socket(c, chunk, (size_t)count)) {
            c->channel_ended = count < 0 || libssh2_channel_eof(c->channel) || count > 0;
            return;
        }
    }
}

/* Ended by either side, and all that the channel said has been handed on. */
static bool is_over(connection *c) {
    bool handed_on = uv_stream_get_write_queue_size((uv_stream_t *)c->socket) == 0;
    return c->operation.abandoned || (c->channel_ended && handed_on) || (c->socket_ended && c->told_end);
}

static bool step(ssh_operation *op) {
    connection *c = (connection *)op;
    if (op->session->state != SESSION_READY)
        return op->abandoned && op->session->opener != op;
    if (c->socket && (c->channel || open_channel(c))) {
        send_to_channel(c);
        send_to_socket(c);
        if (is_over(c))
            close_socket(c);
    }
    return !c->socket && op->session->opener != op && operation_close_channel(op, &c->channel);
}

static void free_connection(ssh_operation *op) {
    connection *c = (connection *)op;
    close_socket(c);
    buffer_free(&c->request);
    buffer_free(&c->out);
    forward_unref(c->forward);
}

static void begin_connection(forward *f, uv_tcp_t *socket) {
    connection *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->operation.step = step;
    c->operation.free = free_connection;
    c->forward = f;
    f->references++;
    c->socket = socket;
    socket->data = c;
    buffer_add_string(&c->request, f->address, strlen(f->address));
    buffer_add_u32(&c->request, (uint32_t)f->port);
    buffer_add_string(&c->request, "127.0.0.1", 9);
    buffer_add_u32(&c->request, 0);
    operation_begin(&c->operation, f->session);
    session_wake(f->session);
}

static void on_connection(uv_stream_t *stream, int status) {
    forward *f = stream->data;
    uv_tcp_t *socket = status == 0 ? malloc(sizeof *socket) : NULL;
    if (!socket)
        return;
    uv_tcp_init(task_loop(), socket);
    socket->data = NULL;
    bool accepted = uv_accept(stream, (uv_stream_t *)socket) == 0;
    if (!accepted || f->session->state != SESSION_READY || session_is_broken(f->session)) {
        uv_close((uv_handle_t *)socket, free_handle);
        return;
    }
    uv_tcp_nodelay(socket, 1);
    begin_connection(f, socket);
}

/* ---- what Lua sees ---- */

static forward **check_forward(lua_State *L) {
    return luaL_checkudata(L, 1, FORWARD_TYPE);
}

static void on_closed(uv_handle_t *handle) {
    forward_unref(handle->data);
}

static int close_forward(lua_State *L) {
    forward **holder = check_forward(L);
    forward *f = *holder;
    *holder = NULL;
    if (f) {
        uv_close((uv_handle_t *)&f->tcp, on_closed);
        forward_unref(f);
    }
    return 0;
}

static forward *listen_on_loopback(ssh_session *s, int *rc) {
    struct sockaddr_in any_port;
    forward *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    uv_ip4_addr("127.0.0.1", 0, &any_port);
    uv_tcp_init(task_loop(), &f->tcp);
    uv_unref((uv_handle_t *)&f->tcp);
    f->tcp.data = f;
    f->session = session_ref(s);
    f->references = 2;
    *rc = uv_tcp_bind(&f->tcp, (struct sockaddr *)&any_port, 0);
    if (*rc == 0)
        *rc = uv_listen((uv_stream_t *)&f->tcp, BACKLOG, on_connection);
    return f;
}

/* forward(connection, address, port) -> forward, local port */
static int forward_lua(lua_State *L) {
    if (!task_in_effect())
        error_raise(L, "internal", "the ssh module was reached past the gate");
    ssh_session *s = session_check(L, 1);
    const char *address = luaL_checkstring(L, 2);
    int port = (int)luaL_checkinteger(L, 3), rc;
    forward **holder = lua_newuserdata(L, sizeof *holder);
    *holder = NULL;
    luaL_getmetatable(L, FORWARD_TYPE);
    lua_setmetatable(L, -2);
    forward *f = *holder = listen_on_loopback(s, &rc);
    f->address = strdup(address);
    f->port = port;
    if (rc)
        return error_raise(L, "ssh.forward", "cannot listen on 127.0.0.1: %s", uv_strerror(rc));
    struct sockaddr_in bound;
    int length = sizeof bound;
    uv_tcp_getsockname(&f->tcp, (struct sockaddr *)&bound, &length);
    lua_pushinteger(L, ntohs(bound.sin_port));
    return 2;
}

/* forward_problem(forward) -> why the host could not connect the last time, an error table; or nil */
static int problem_lua(lua_State *L) {
    forward *f = *check_forward(L);
    if (!f || !f->failure.code)
        return 0;
    failure_push(L, &f->failure);
    return 1;
}

void forward_register(lua_State *L) {
    static const luaL_Reg functions[] = {{"forward", forward_lua},
                                         {"forward_close", close_forward},
                                         {"forward_problem", problem_lua},
                                         {NULL, NULL}};
    luaL_newmetatable(L, FORWARD_TYPE);
    lua_pushcfunction(L, close_forward);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    luaL_register(L, NULL, functions);
}
