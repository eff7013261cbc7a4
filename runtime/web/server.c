/* libmicrohttpd on the loop; see server.h.
 *
 * It runs in its external mode: libuv watches its epoll descriptor. A complete request suspends its
 * connection until the answer comes; meanwhile the connection is watched here, for libmicrohttpd does not
 * notice then that a client goes away. */
#include "web/server.h"
#include "task/handle.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_CONNECTIONS 1000
#define MOST_DISCARDED \
    (64 * 1024 * 1024) /* bytes read of a body that is too large, so that its refusal arrives */
#define ROUNDS 16
#define CONNECTION_MEMORY (64 * 1024) /* bounds a request's line and headers */

void server_wake(wait **waiting) {
    if (*waiting)
        wait_done(*waiting);
    *waiting = NULL;
}

/* ---- libmicrohttpd on the loop ---- */

static void run_daemon(server *s);

static void on_readiness(uv_poll_t *poll, int status, int events) {
    (void)status, (void)events;
    run_daemon(poll->data);
}

static void on_timer(uv_timer_t *timer) {
    run_daemon(timer->data);
}

/* While libmicrohttpd has more to do it asks to be run again at once. During a TLS handshake it asks so
 * without pause, and would starve the loop; so after some rounds it waits for a millisecond. */
static void run_daemon(server *s) {
    MHD_UNSIGNED_LONG_LONG milliseconds = 0;
    bool more = true;
    for (int round = 0; round < ROUNDS && more && milliseconds == 0; round++) {
        MHD_run(s->daemon);
        more = MHD_get_timeout(s->daemon, &milliseconds) == MHD_YES;
    }
    if (more)
        uv_timer_start(&s->timer, on_timer, milliseconds > 0 ? milliseconds : 1, 0);
    else
        uv_timer_stop(&s->timer);
}

static void free_if_unused(server *s) {
    if (s->collected && s->open_handles == 0)
        free(s);
}

static void on_closed(uv_handle_t *handle) {
    server *s = handle->data;
    s->open_handles--;
    free_if_unused(s);
}

/* ---- exchanges ---- */

static void unwatch(exchange *e) {
    handle_discard(e->watch);
    e->watch = NULL;
}

/* Lets libmicrohttpd go on with the connection, on the loop's next turn; it then asks on_request what to do.
 */
void exchange_resume(exchange *e, exchange_state state) {
    e->state = state;
    unwatch(e);
    MHD_resume_connection(e->connection);
    uv_timer_start(&e->server->timer, on_timer, 0, 0);
}

static void on_hang_up(uv_poll_t *poll, int status, int events) {
    (void)status, (void)events;
    exchange *e = poll->data;
    unwatch(e);
    e->gone = true;
    if (e->state == WAITING)
        exchange_resume(e, DROPPED);
    else
        server_wake(&e->server->taker);
}

/* Without a watch the request is still answered; only an early hang-up goes unnoticed. */
static void watch(exchange *e) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(e->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    uv_poll_t *poll = info ? malloc(sizeof *poll) : NULL;
    if (!poll || uv_poll_init_socket(task_loop(), poll, info->connect_fd)) {
        free(poll);
        return;
    }
    poll->data = e;
    e->watch = poll;
    uv_poll_start(poll, UV_DISCONNECT, on_hang_up);
}

static void exchange_free(exchange *e) {
    unwatch(e);
    if (e->response)
        MHD_destroy_response(e->response);
    free(e->method);
    free(e->path);
    free(e->body);
    free(e);
}

static exchange *exchange_new(server *s, struct MHD_Connection *connection, const char *path,
                              const char *method) {
    exchange *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->server = s;
    e->connection = connection;
    e->path = strdup(path);
    e->method = strdup(method);
    if (!e->path || !e->method) {
        exchange_free(e);
        return NULL;
    }
    e->id = ++s->last_id;
    exchange **link = &s->first;
    while (*link)
        link = &(*link)->next;
    *link = e;
    return e;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode how) {
    (void)connection, (void)how;
    server *s = context;
    exchange *e = *slot;
    for (exchange **link = &s->first; e && *link; link = &(*link)->next) {
        if (*link != e)
            continue;
        *link = e->next;
        exchange_free(e);
        break;
    }
    *slot = NULL;
}

static enum MHD_Result refuse_large(struct MHD_Connection *connection) {
    static char text[] = "the request's body is too large\n";
    struct MHD_Response *response =
        MHD_create_response_from_buffer(sizeof text - 1, text, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", "text/plain");
    MHD_add_response_header(response, "Connection", "close");
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_CONTENT_TOO_LARGE, response);
    MHD_destroy_response(response);
    return result;
}

/* Keeps the body up to the limit. What is beyond it is read and thrown away: a client that is still sending
 * would not see the refusal. */
static enum MHD_Result keep_upload(exchange *e, const char *data, size_t length) {
    if (e->too_large || length > e->server->limit - e->length) {
        e->too_large = true;
        e->discarded += length;
        return e->discarded > MOST_DISCARDED ? MHD_NO : MHD_YES;
    }
    if (e->room - e->length < length) {
        size_t room = e->room * 2 + length;
        char *larger = realloc(e->body, room);
        if (!larger)
            return MHD_NO;
        e->body = larger;
        e->room = room;
    }
    memcpy(e->body + e->length, data, length);
    e->length += length;
    return MHD_YES;
}

/* libmicrohttpd calls this when the head is complete, for each part of the body, at its end, and after each
 * resume. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data, size_t *length,
                                  void **slot) {
    (void)version;
    server *s = context;
    exchange *e = *slot;
    if (!e) {
        *slot = s->closing ? NULL : exchange_new(s, connection, path, method);
        return *slot ? MHD_YES : MHD_NO;
    }
    if (*length > 0) {
        size_t count = *length;
        *length = 0;
        return keep_upload(e, data, count);
    }
    switch (e->state) {
    case READING:
        if (e->too_large)
            return refuse_large(connection);
        e->state = WAITING;
        MHD_suspend_connection(connection);
        watch(e);
        server_wake(&s->taker);
        return MHD_YES;
    case ANSWERED:
        return MHD_queue_response(connection, e->status, e->response);
    case DROPPED:
        return MHD_NO;
    default:
        return MHD_YES;
    }
}

exchange *server_find(server *s, lua_Integer id) {
    for (exchange *e = s->first; e; e = e->next)
        if (e->id == id && e->state == TAKEN)
            return e;
    return NULL;
}

exchange *server_next(server *s) {
    for (exchange *e = s->first; e; e = e->next)
        if (e->state == WAITING || (e->state == TAKEN && e->gone && !e->gone_told))
            return e;
    return NULL;
}

/* ---- the beginning of a server ---- */

static struct MHD_Daemon *start_daemon(server *s, const listen_options *options, int port) {
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)options->certificate},
                                   {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)options->key},
                                   {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (options->certificate ? MHD_USE_TLS : 0);
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, port,
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_CONNECTION_LIMIT,
                            MOST_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
                            MHD_OPTION_CONNECTION_TIMEOUT, options->timeout,
                            MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY,
                            options->certificate ? tls : none, MHD_OPTION_END);
}

static void watch_daemon(server *s) {
    int epoll = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    uv_poll_init(task_loop(), &s->poll, epoll);
    uv_timer_init(task_loop(), &s->timer);
    s->poll.data = s->timer.data = s;
    s->open_handles = 2;
    uv_poll_start(&s->poll, UV_READABLE, on_readiness);
}

bool server_start(server *s, const listen_options *options, int port) {
    s->limit = options->limit;
    s->daemon = start_daemon(s, options, port);
    if (s->daemon)
        watch_daemon(s);
    return s->daemon != NULL;
}

/* ---- the end of a server ---- */

void server_close_port(server *s) {
    if (s->closing || !s->daemon)
        return;
    s->closing = true;
    MHD_socket port = MHD_quiesce_daemon(s->daemon);
    if (port != MHD_INVALID_SOCKET)
        close(port);
    server_wake(&s->taker);
}

void server_stop(server *s) {
    if (!s->daemon)
        return;
    server_close_port(s);
    for (exchange *e = s->first; e; e = e->next)
        if (e->state == WAITING || e->state == TAKEN)
            exchange_resume(e, DROPPED);
    uv_close((uv_handle_t *)&s->poll, on_closed);
    uv_close((uv_handle_t *)&s->timer, on_closed);
    MHD_stop_daemon(s->daemon);
    s->daemon = NULL;
    server_wake(&s->closer);
}

void server_free(server *s) {
    server_stop(s);
    s->collected = true;
    free_if_unused(s);
}
