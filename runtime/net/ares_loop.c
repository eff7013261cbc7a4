/* Drives a channel of c-ares from libuv: its sockets become uv_poll handles, its tries and the whole time one
 * uv_timer. See ares_loop.h. */
#include "net/ares_loop.h"

#include "task/task.h"

#include <stdlib.h>
#include <uv.h>

typedef struct socket_watch socket_watch;

struct ares_question {
    ares_channel channel;
    uv_timer_t timer;
    socket_watch *watches;
    uint64_t milliseconds, deadline; /* of uv_now */
    void (*ended)(void *);
    void *data;
    bool settled;
};

struct socket_watch {
    uv_poll_t poll;
    ares_question *question;
    socket_watch *next;
    ares_socket_t socket;
};

/* ---- the end ---- */

static void free_handle(uv_handle_t *handle) {
    free(handle);
}

static void free_question(uv_handle_t *timer) {
    free(timer->data);
}

void ares_question_close(ares_question *q) {
    q->settled = true;
    ares_destroy(q->channel); /* closes the sockets, and through on_socket_state their watches */
    uv_close((uv_handle_t *)&q->timer, free_question);
}

bool ares_question_settle(ares_question *q) {
    bool first = !q->settled;
    q->settled = true;
    return first;
}

static void end(ares_question *q) {
    ares_question_close(q);
    q->ended(q->data);
}

/* ---- going on ---- */

static void on_timer(uv_timer_t *timer);

/* c-ares counts the time of each try; this counts the time of them all. */
static void wait_for_next(ares_question *q) {
    uint64_t now = uv_now(task_loop());
    uint64_t left = q->deadline > now ? q->deadline - now : 0;
    struct timeval next;
    if (q->settled) {
        left = 0;
    } else if (ares_timeout(q->channel, NULL, &next)) {
        uint64_t wanted = (uint64_t)next.tv_sec * 1000 + (uint64_t)next.tv_usec / 1000 + 1;
        left = wanted < left ? wanted : left;
    }
    uv_timer_start(&q->timer, on_timer, left, 0);
}

static void go_on(ares_question *q) {
    if (q->settled || uv_now(task_loop()) >= q->deadline)
        end(q);
    else
        wait_for_next(q);
}

static void on_timer(uv_timer_t *timer) {
    ares_question *q = timer->data;
    if (!q->settled && uv_now(task_loop()) < q->deadline)
        ares_process_fd(q->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    go_on(q);
}

static void on_socket_ready(uv_poll_t *poll, int status, int events) {
    socket_watch *w = (socket_watch *)poll;
    ares_question *q = w->question;
    bool reads = status < 0 || events & UV_READABLE, writes = status < 0 || events & UV_WRITABLE;
    ares_process_fd(q->channel, reads ? w->socket : ARES_SOCKET_BAD, writes ? w->socket : ARES_SOCKET_BAD);
    go_on(q);
}

/* ---- its sockets ---- */

static socket_watch *find_watch(ares_question *q, ares_socket_t socket) {
    socket_watch *w = q->watches;
    while (w && w->socket != socket)
        w = w->next;
    return w;
}

static void remove_watch(ares_question *q, socket_watch *gone) {
    socket_watch **link = &q->watches;
    while (*link != gone)
        link = &(*link)->next;
    *link = gone->next;
    uv_close((uv_handle_t *)&gone->poll, free_handle);
}

static socket_watch *add_watch(ares_question *q, ares_socket_t socket) {
    socket_watch *w = calloc(1, sizeof *w);
    if (!w || uv_poll_init(task_loop(), &w->poll, socket) != 0) {
        free(w); /* the question stays unanswered, and ends with its time */
        return NULL;
    }
    w->question = q;
    w->socket = socket;
    w->next = q->watches;
    q->watches = w;
    return w;
}

/* c-ares says what it wants to know of a socket; neither means that it closes it now. */
static void on_socket_state(void *data, ares_socket_t socket, int readable, int writable) {
    ares_question *q = data;
    socket_watch *w = find_watch(q, socket);
    if (!readable && !writable) {
        if (w)
            remove_watch(q, w);
        return;
    }
    w = w ? w : add_watch(q, socket);
    if (w)
        uv_poll_start(&w->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0), on_socket_ready);
}

/* ---- the beginning ---- */

int ares_question_open(ares_question **made, struct ares_options *options, int mask, uint64_t milliseconds,
                       void (*ended)(void *data), void *data) {
    static bool started;
    int status = started ? ARES_SUCCESS : ares_library_init(ARES_LIB_INIT_ALL);
    if (status != ARES_SUCCESS)
        return status;
    started = true;
    ares_question *q = calloc(1, sizeof *q);
    if (!q)
        return ARES_ENOMEM;
    *q = (ares_question){.milliseconds = milliseconds, .ended = ended, .data = data};
    options->sock_state_cb = on_socket_state;
    options->sock_state_cb_data = q;
    status = ares_init_options(&q->channel, options, mask | ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS) {
        free(q);
        return status;
    }
    uv_timer_init(task_loop(), &q->timer);
    q->timer.data = q;
    *made = q;
    return ARES_SUCCESS;
}

ares_channel ares_question_channel(const ares_question *q) {
    return q->channel;
}

void ares_question_start(ares_question *q) {
    uv_update_time(task_loop());
    q->deadline = uv_now(task_loop()) + q->milliseconds;
    wait_for_next(q);
}
