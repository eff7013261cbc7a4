/* One connection of a server; see connection.h. */
#include "web/connection.h"

#include "task/task.h"
#include "web/status.h"

#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define FEW_WAITING (16 * 1024)     /* bytes: more is asked for when no more than these wait */
#define LEAST_PROGRESS (16 * 1024)  /* bytes that a client takes in the time for which it may be silent */
#define LONGEST_WRITE (256 * 1024)  /* in one turn of the loop, for others are to have theirs */
#define MOST_UNSENT (128 * 1024)    /* bytes that the kernel keeps of an answer */
#define COUNTED_UNSENT (128 * 1024) /* bytes of a streamed answer: of larger parts its handler decides */
#define LATE_MS 50
#define LINGER_SILENCE_MS 5000
#define ENDING_SILENCE_MS 2000 /* a request may be under way when the server is to end */
#define LINGER_MS 30000
#define MOST_DISCARDED                                                                  \
    (64 * 1024 * 1024) /* bytes of a body that was refused, so that the refusal arrives \
                        */

enum { READING, HANDLING, SENDING, LINGERING, CLOSED };

static uint64_t now(void) {
    return uv_now(task_loop());
}

static void move(connection *c, place_kind kind) {
    places_move(&c->rules->places, &c->place, kind, now());
}

/* ---- the end ---- */

static void on_closed(uv_handle_t *handle) {
    connection *c = handle->data;
    if (--c->open_handles > 0)
        return;
    c->rules->freed(c->rules);
    free(c);
}

void connection_close(connection *c) {
    if (c->phase == CLOSED)
        return;
    bool unfinished = c->phase == HANDLING;
    c->phase = CLOSED;
    uv_close((uv_handle_t *)&c->poll, on_closed);
    uv_close((uv_handle_t *)&c->timer, on_closed);
    if (bytes_length(&c->out))
        wire_abort(&c->wire);
    wire_close(&c->wire);
    places_leave(&c->rules->places, &c->place);
    budget_set(&c->rules->budget, &c->burden, 0, false);
    bytes_free(&c->in);
    bytes_free(&c->out);
    if (unfinished)
        c->rules->gone(c);
    request_clear(&c->request);
    c->rules->left(c->rules);
}

/* ---- memory ---- */

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* What waits to be sent while a handler is at work is of an answer in parts. How large a whole answer is, is
 * up to its handler. */
static void weigh(connection *c) {
    bool waits = bytes_length(&c->out) > 0;
    c->in_parts = waits && (c->in_parts || c->phase == HANDLING);
    size_t unsent = c->in_parts ? smaller(c->out.text.room, COUNTED_UNSENT) : 0;
    budget_set(&c->rules->budget, &c->burden, request_memory(&c->request) + c->in.text.room + unsent,
               c->phase == READING || c->in_parts);
}

size_t connection_forget_body(connection *c) {
    size_t length = c->request.body.length;
    text_free(&c->request.body);
    weigh(c);
    return length;
}

/* ---- time ---- */

static uint64_t sooner(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t patience(const connection *c) {
    bool is_silent = c->place.kind == PLACE_IDLE || c->place.kind == PLACE_FRESH;
    return c->rules->ending && is_silent ? sooner(c->rules->silence, ENDING_SILENCE_MS) : c->rules->silence;
}

/* When it is too late for what it waits for; 0: never. */
static uint64_t due(const connection *c) {
    const connection_rules *rules = c->rules;
    switch (c->phase) {
    case READING:
        return c->place.kind == PLACE_IDLE ? c->heard + patience(c)
                                           : sooner(c->heard + patience(c), c->started + rules->deadline);
    case LINGERING:
        return sooner(c->heard + LINGER_SILENCE_MS, c->started + LINGER_MS);
    default:
        return bytes_length(&c->out) ? c->heard + rules->silence : 0;
    }
}

static void on_timer(uv_timer_t *timer);

/* A timer that goes off too early costs less than one that is set anew with each byte. */
static void schedule(connection *c) {
    uint64_t moment = due(c);
    if (moment == 0) {
        uv_timer_stop(&c->timer);
    } else if (!uv_is_active((uv_handle_t *)&c->timer) || moment < c->fires) {
        c->fires = moment;
        uv_timer_start(&c->timer, on_timer, moment > now() ? moment - now() : 0, 0);
    }
}

static void on_ready(uv_poll_t *poll, int status, int events);

/* Waits for what can happen next. */
static void update(connection *c) {
    if (c->phase == CLOSED)
        return;
    bool waits = bytes_length(&c->out) > 0;
    int events = c->phase == HANDLING           ? UV_DISCONNECT
                 : c->phase == LINGERING        ? UV_READABLE
                 : c->phase == SENDING          ? 0
                 : c->wire.wants && c->wire.tls ? c->wire.wants
                                                : UV_READABLE;
    events |= waits ? UV_WRITABLE : 0;
    if (events != c->events)
        uv_poll_start(&c->poll, events, on_ready);
    c->events = events;
    weigh(c);
    schedule(c);
}

/* ---- sending ---- */

static void linger(connection *c) {
    wire_shut(&c->wire);
    c->phase = LINGERING;
    c->started = c->heard = now();
    c->moved = 0;
    bytes_free(&c->in);
    move(c, PLACE_IDLE);
}

static void read_next(connection *c);

/* All of an answer has been sent. */
static void begin_anew(connection *c) {
    c->owner = NULL;
    if (c->broken) {
        connection_close(c);
    } else if (!c->keep_alive || c->rules->ending) {
        linger(c);
    } else {
        c->phase = READING;
        c->started = c->heard = now();
        move(c, bytes_length(&c->in) ? PLACE_READING : PLACE_IDLE);
        read_next(c);
    }
}

static void note_progress(connection *c, size_t count) {
    c->moved += count;
    if (c->moved < LEAST_PROGRESS && bytes_length(&c->out) > 0)
        return;
    c->moved = 0;
    c->heard = now();
    budget_excuse(&c->rules->budget, &c->burden);
    if (c->place.kind == PLACE_WRITING)
        move(c, PLACE_WRITING);
}

static void flush(connection *c) {
    size_t written = 0;
    while (bytes_length(&c->out) > 0 && written < LONGEST_WRITE) {
        ssize_t count = wire_write(&c->wire, bytes_first(&c->out), bytes_length(&c->out));
        if (count == WIRE_WAIT)
            break;
        if (count <= 0) {
            connection_close(c);
            return;
        }
        bytes_take(&c->out, (size_t)count);
        written += (size_t)count;
    }
    note_progress(c, written);
    if (c->phase == SENDING && bytes_length(&c->out) == 0)
        begin_anew(c);
    else if (c->phase == HANDLING && bytes_length(&c->out) <= FEW_WAITING)
        c->rules->drained(c);
}

void connection_queue(connection *c, const char *bytes, size_t length) {
    if (c->phase == CLOSED || length == 0)
        return;
    if (bytes_length(&c->out) == 0) {
        c->heard = now();
        c->moved = 0;
    }
    bytes_add(&c->out, bytes, length);
}

static void relieve(connection_rules *rules);

void connection_send(connection *c, const char *bytes, size_t length) {
    if (c->phase == CLOSED)
        return;
    connection_queue(c, bytes, length);
    flush(c);
    update(c);
    relieve(c->rules);
}

size_t connection_waiting(const connection *c) {
    return bytes_length(&c->out);
}

void connection_finish(connection *c, bool broken) {
    if (c->phase == CLOSED)
        return;
    c->phase = SENDING;
    c->broken = broken;
    request_clear(&c->request);
    move(c, PLACE_WRITING);
    flush(c);
    update(c);
}

/* ---- reading ---- */

static void answer_at_once(connection *c, unsigned status, const char *problem) {
    text_buffer text = {0};
    status_add_refusal(&text, status, problem);
    c->keep_alive = false;
    bytes_free(&c->in);
    connection_queue(c, text.text, text.length);
    text_free(&text);
    connection_finish(c, false);
}

static void refuse(connection *c, unsigned status, const char *problem) {
    c->rules->refused++;
    answer_at_once(c, status, problem);
}

/* Who is sending a request is told; who has a part of his answer sees it break off. */
static void give_way(connection *c) {
    c->rules->crowded++;
    if (c->phase == READING)
        answer_at_once(c, 503, "the server has as much to hold as it can: try again later");
    else
        connection_close(c);
}

static void relieve(connection_rules *rules) {
    for (burden *b; (b = budget_next(&rules->budget));)
        give_way((connection *)((char *)b - offsetof(connection, burden)));
}

static void complete(connection *c) {
    c->phase = HANDLING;
    c->keep_alive = c->request.framing.keep_alive && c->request.status == 0;
    move(c, PLACE_BUSY);
    c->rules->arrived(c);
}

/* Makes of the bytes that have come what they are enough for. */
static void read_next(connection *c) {
    switch (request_read(&c->request, &c->in, c->rules->limit)) {
    case REQUEST_COMPLETE:
        complete(c);
        break;
    case REQUEST_WRONG:
        if (c->request.status == 413 && c->rules->takes_large)
            complete(c);
        else
            refuse(c, c->request.status, c->request.problem);
        break;
    default:
        if (c->request.awaited)
            connection_send(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
        c->request.awaited = false;
    }
}

/* The first bytes after a pause are those of a request; before that a TLS session is made of the first. */
static void note_bytes(connection *c) {
    if (c->place.kind == PLACE_IDLE)
        c->started = now();
    if (c->place.kind < PLACE_READING)
        move(c, PLACE_READING);
    c->heard = now();
}

static void receive(connection *c) {
    c->wire.wants = 0;
    ssize_t count = wire_read(&c->wire, c->rules->scratch, CONNECTION_SCRATCH);
    if (count == WIRE_END || count == WIRE_BROKEN) {
        connection_close(c);
        return;
    }
    note_bytes(c);
    if (count > 0) {
        bytes_add(&c->in, c->rules->scratch, (size_t)count);
        read_next(c);
        bytes_trim(&c->in);
    }
}

/* A client that is still sending would not see the answer if the connection were closed under it. */
static void discard(connection *c) {
    ssize_t count = wire_read(&c->wire, c->rules->scratch, CONNECTION_SCRATCH);
    if (count > 0)
        c->moved += (size_t)count;
    c->heard = now();
    if (count == WIRE_END || count == WIRE_BROKEN || c->moved > MOST_DISCARDED)
        connection_close(c);
}

/* ---- the loop ---- */

static void proceed(connection *c, int events) {
    bool waits = bytes_length(&c->out) > 0;
    if (waits)
        flush(c);
    if (c->phase == READING && (!waits || (events & UV_READABLE)))
        receive(c);
}

static void on_ready(uv_poll_t *poll, int status, int events) {
    connection *c = poll->data;
    if (status < 0 || (c->phase == HANDLING && (events & UV_DISCONNECT)))
        connection_close(c);
    else if (c->phase == LINGERING)
        discard(c);
    else
        proceed(c, events);
    update(c);
    relieve(c->rules);
}

static bool has_session(const connection *c) {
    return !c->wire.tls || SSL_is_init_finished(c->wire.tls);
}

/* Who was in the middle of a request is told; who owes nothing, or takes nothing, is not. When the loop
 * itself comes late, what the client has sent meanwhile is looked at first. */
static void on_timer(uv_timer_t *timer) {
    connection *c = timer->data;
    if (due(c) == 0 || due(c) > now()) {
        schedule(c);
        return;
    }
    if (now() - c->fires > LATE_MS) {
        c->fires = now();
        uv_timer_start(timer, on_timer, 1, 0);
        return;
    }
    if (c->phase == READING && c->place.kind == PLACE_READING && has_session(c))
        refuse(c, 408, "the request did not come in time");
    else
        connection_close(c);
}

bool connection_has_news(const connection *c) {
    return wire_has_bytes(&c->wire);
}

void connection_hurry(connection *c) {
    if (c->phase != READING)
        return;
    if (connection_has_news(c))
        c->heard = now();
    schedule(c);
}

/* ---- the beginning ---- */

static void set_up_tcp(int fd) {
    int on = 1, unsent = MOST_UNSENT;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
}

static void begin(connection *c, const struct sockaddr_storage *address) {
    if (address->ss_family != AF_UNIX)
        set_up_tcp(c->wire.fd);
    memcpy(&c->remote, address, sizeof c->remote);
    uv_timer_init(task_loop(), &c->timer);
    c->poll.data = c->timer.data = c;
    c->open_handles = 2;
    c->started = c->heard = now();
    update(c);
}

connection *connection_new(connection_rules *rules, int fd, const struct sockaddr_storage *address) {
    connection *c = calloc(1, sizeof *c);
    if (!c || !wire_open(&c->wire, fd, rules->tls))
        goto out;
    if (!places_enter(&rules->places, &c->place, address, now()))
        goto out;
    if (uv_poll_init(task_loop(), &c->poll, fd)) {
        places_leave(&rules->places, &c->place);
        goto out;
    }
    c->rules = rules;
    begin(c, address);
    return c;
out:
    if (c)
        SSL_free(c->wire.tls);
    free(c);
    return NULL;
}
