/* Connections carried to where the host can reach; see forward.h.
 *
 * Each accepted connection is an operation of the session. Either end may say that it sends no more
 * (half-close) while it still receives; the connection has ended when both have. What one end does not take
 * holds the other up: no more than HIGH_WATER bytes wait on either side. */
#define _GNU_SOURCE /* asprintf */
#include "ssh/forward.h"

#include "base/scrub.h"
#include "ssh/operation.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK (64 * 1024)
#define BACKLOG 128

typedef struct carried carried;

struct ssh_forward {
    int references; /* the owner's, the listener's and the connections' */
    ssh_session *session;
    uv_tcp_t *listener;     /* NULL when closed */
    ssh_buffer destination; /* host and port as direct-tcpip has them */
    char *shown;            /* the same for people */
    int port;
    char problem[256];
    carried *connections;
};

struct carried {
    ssh_operation operation;
    carried *next;
    ssh_forward *forward;
    uv_tcp_t *socket;
    LIBSSH2_CHANNEL *channel;
    ssh_buffer request, to_host;
    size_t to_client;             /* bytes given to the socket and not yet sent */
    bool reading;                 /* the socket is */
    bool client_ended, told_host; /* it sends no more; the host knows */
    bool told_client;             /* the host sends no more, and the client knows */
    bool closing;
};

typedef struct {
    uv_write_t request;
    carried *connection;
    size_t length;
    char bytes[];
} outgoing;

/* ---- life ---- */

void forward_unref(ssh_forward *f) {
    if (--f->references > 0)
        return;
    session_unref(f->session);
    buffer_free(&f->destination);
    free(f->shown);
    free(f);
}

const char *forward_problem(const ssh_forward *f) {
    return f->problem;
}

int forward_port(const ssh_forward *f) {
    return f->port;
}

static void on_socket_closed(uv_handle_t *handle) {
    free(handle);
}

static void free_carried(ssh_operation *op) {
    carried *c = (carried *)op;
    for (carried **link = &c->forward->connections; *link; link = &(*link)->next) {
        if (*link == c) {
            *link = c->next;
            break;
        }
    }
    buffer_free(&c->request);
    buffer_free(&c->to_host);
    forward_unref(c->forward);
}

/* ---- the client's side ---- */

static void drop_socket(carried *c) {
    if (c->socket && !uv_is_closing((uv_handle_t *)c->socket))
        uv_close((uv_handle_t *)c->socket, on_socket_closed);
    c->socket = NULL;
    c->closing = true;
}

static void provide_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    static char bytes[CHUNK];
    (void)handle, (void)suggested;
    *buffer = uv_buf_init(bytes, sizeof bytes);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
    carried *c = stream->data;
    if (c->operation.session->state == SESSION_CLOSED)
        drop_socket(c); /* which is still open for what had come from the host */
    else if (count > 0)
        buffer_add(&c->to_host, buffer->base, (size_t)count);
    else if (count == UV_EOF)
        c->client_ended = true;
    else if (count < 0)
        drop_socket(c);
    session_wake(c->operation.session);
}

/* Reads while the host takes what is read. */
static void read_or_pause(carried *c) {
    bool wanted = !c->client_ended && c->to_host.length < HIGH_WATER;
    if (wanted == c->reading || !c->socket)
        return;
    c->reading = wanted;
    if (wanted)
        uv_read_start((uv_stream_t *)c->socket, provide_buffer, on_read);
    else
        uv_read_stop((uv_stream_t *)c->socket);
}

/* The operation lives until all it wrote has been reported. */
static void on_written(uv_write_t *request, int status) {
    outgoing *out = (outgoing *)request;
    carried *c = out->connection;
    c->to_client -= out->length;
    if (status)
        drop_socket(c);
    session_wake(c->operation.session);
    operation_unref(&c->operation);
    free(out);
}

static bool write_to_client(carried *c, const char *bytes, size_t length) {
    outgoing *out = malloc(sizeof *out + length);
    if (!out)
        abort();
    memcpy(out->bytes, bytes, length);
    out->connection = c;
    out->length = length;
    uv_buf_t buffer = uv_buf_init(out->bytes, (unsigned)length);
    if (uv_write(&out->request, (uv_stream_t *)c->socket, &buffer, 1, on_written)) {
        free(out);
        drop_socket(c);
        return false;
    }
    c->to_client += length;
    c->operation.references++;
    return true;
}

static void on_shut_down(uv_shutdown_t *request, int status) {
    (void)status;
    free(request);
}

static void end_to_client(carried *c) {
    uv_shutdown_t *request = malloc(sizeof *request);
    if (!request)
        abort();
    c->told_client = true;
    if (uv_shutdown(request, (uv_stream_t *)c->socket, on_shut_down)) {
        free(request);
        drop_socket(c);
    }
}

/* ---- the host's side ---- */

static void note_problem(carried *c, const char *reason) {
    scrub_format(c->forward->problem, sizeof c->forward->problem, "%s cannot reach %s: %s",
                 c->operation.session->target.label, c->forward->shown, reason);
    drop_socket(c);
}

static bool open_channel(carried *c) {
    int rc;
    c->channel = operation_open_channel(&c->operation, "direct-tcpip", &c->request, &rc);
    if (!c->channel && rc == LIBSSH2_ERROR_EAGAIN)
        return false;
    if (!c->channel && !session_note_error(c->operation.session, rc, "while opening a tunnel"))
        note_problem(c, "refused, not there, or sshd's AllowTcpForwarding forbids it");
    return c->channel != NULL;
}

static void send_to_host(carried *c) {
    size_t sent = 0;
    while (sent < c->to_host.length && c->operation.session->out.length < HIGH_WATER) {
        ssize_t count = libssh2_channel_write(c->channel, c->to_host.data + sent, c->to_host.length - sent);
        if (count == LIBSSH2_ERROR_EAGAIN || count == 0)
            break;
        if (count < 0) {
            session_note_error(c->operation.session, (int)count, "while it carried a connection");
            drop_socket(c);
            return;
        }
        sent += (size_t)count;
    }
    if (sent > 0)
        buffer_drop(&c->to_host, sent);
    if (c->client_ended && c->to_host.length == 0 && !c->told_host)
        c->told_host = libssh2_channel_send_eof(c->channel) != LIBSSH2_ERROR_EAGAIN;
}

static void receive_from_host(carried *c) {
    static char chunk[CHUNK];
    while (!c->closing && c->to_client < HIGH_WATER) {
        ssize_t count = libssh2_channel_read(c->channel, chunk, sizeof chunk);
        if (count < 0 && count != LIBSSH2_ERROR_EAGAIN) {
            session_note_error(c->operation.session, (int)count, "while it carried a connection");
            drop_socket(c);
        }
        if (count <= 0)
            break;
        if (!write_to_client(c, chunk, (size_t)count))
            return;
    }
    if (!c->closing && !c->told_client && libssh2_channel_eof(c->channel))
        end_to_client(c);
}

static bool step(ssh_operation *op) {
    carried *c = (carried *)op;
    if (!c->channel && (!c->closing || op->session->opener == op) && !open_channel(c) && !c->closing)
        return false;
    if (!c->closing && c->channel) {
        send_to_host(c);
        receive_from_host(c);
        read_or_pause(c);
        if (c->told_host && c->told_client && c->to_client == 0)
            drop_socket(c);
    }
    return c->closing && op->session->opener != op && operation_close_channel(op, &c->channel);
}

/* The session's end is the connection's: its operations are let go without another step. */
static void end_carried(ssh_operation *op) {
    carried *c = (carried *)op;
    drop_socket(c);
    free_carried(op);
}

/* ---- the listener ---- */

static void prepare_request(carried *c) {
    struct sockaddr_storage peer;
    int length = sizeof peer;
    char from[INET6_ADDRSTRLEN] = "127.0.0.1";
    uint16_t port = 0;
    if (uv_tcp_getpeername(c->socket, (struct sockaddr *)&peer, &length) == 0) {
        uv_ip_name((struct sockaddr *)&peer, from, sizeof from);
        port = ntohs(((struct sockaddr_in *)&peer)->sin_port); /* IPv6 has it in the same place */
    }
    buffer_add(&c->request, c->forward->destination.data, c->forward->destination.length);
    buffer_add_string(&c->request, from, strlen(from));
    buffer_add_u32(&c->request, port);
}

static void on_connection(uv_stream_t *listener, int status) {
    ssh_forward *f = listener->data;
    uv_tcp_t *socket = malloc(sizeof *socket);
    if (!socket)
        abort();
    uv_tcp_init(task_loop(), socket);
    if (status || uv_accept(listener, (uv_stream_t *)socket) || f->session->state != SESSION_READY ||
        session_is_broken(f->session)) {
        scrub_format(f->problem, sizeof f->problem, "%s: the connection is closed", f->session->target.label);
        uv_close((uv_handle_t *)socket, on_socket_closed);
        return;
    }
    carried *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    uv_tcp_nodelay(socket, 1);
    uv_unref((uv_handle_t *)socket);
    socket->data = c;
    c->socket = socket;
    c->forward = f;
    f->references++;
    c->next = f->connections;
    f->connections = c;
    c->operation.step = step;
    c->operation.free = end_carried;
    prepare_request(c);
    operation_begin(&c->operation, f->session);
    session_wake(f->session);
}

static void on_listener_closed(uv_handle_t *handle) {
    forward_unref(handle->data);
    free(handle);
}

static int listen_at(ssh_forward *f, const char *address, int port) {
    struct sockaddr_storage place;
    int length = sizeof place;
    if (uv_ip4_addr(address, port, (struct sockaddr_in *)&place) &&
        uv_ip6_addr(address, port, (struct sockaddr_in6 *)&place))
        return EINVAL;
    int problem = uv_tcp_bind(f->listener, (struct sockaddr *)&place, 0);
    problem = problem ? problem : uv_listen((uv_stream_t *)f->listener, BACKLOG, on_connection);
    problem = problem ? problem : uv_tcp_getsockname(f->listener, (struct sockaddr *)&place, &length);
    f->port = ntohs(((struct sockaddr_in *)&place)->sin_port);
    return -problem;
}

ssh_forward *forward_open(ssh_session *s, const char *host, int port, const char *address, int local_port,
                          int *problem) {
    ssh_forward *f = calloc(1, sizeof *f);
    if (!f || !(f->listener = malloc(sizeof *f->listener)) ||
        asprintf(&f->shown, "%s port %d", host, port) < 0)
        abort();
    f->references = 2;
    f->session = session_ref(s);
    s->forwards++;
    buffer_add_string(&f->destination, host, strlen(host));
    buffer_add_u32(&f->destination, (uint32_t)port);
    uv_tcp_init(task_loop(), f->listener);
    uv_unref((uv_handle_t *)f->listener);
    f->listener->data = f;
    *problem = listen_at(f, address, local_port);
    if (!*problem)
        return f;
    forward_close(f);
    forward_unref(f);
    return NULL;
}

void forward_close(ssh_forward *f) {
    if (!f->listener)
        return;
    uv_close((uv_handle_t *)f->listener, on_listener_closed);
    f->listener = NULL;
    f->session->forwards--;
    for (carried *c = f->connections; c; c = c->next)
        drop_socket(c);
    session_wake(f->session);
}
