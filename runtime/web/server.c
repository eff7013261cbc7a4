/* An HTTP server; see server.h. */
#include "web/server.h"

#include "web/status.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define OTHER_DESCRIPTORS 64 /* kept for what is no connection: files, stores, sessions */

void server_wake(wait **waiting) {
    if (*waiting)
        wait_done(*waiting);
    *waiting = NULL;
}

static void let_go(server *s) {
    if (s->holds > 0 || !s->collected)
        return;
    SSL_CTX_free(s->rules.tls);
    free(s->rules.scratch);
    free(s);
}

/* ---- exchanges ---- */

static exchange **bucket_of(server *s, lua_Integer id) {
    return &s->exchanges[(size_t)id % SERVER_BUCKETS];
}

static void enqueue(exchange_queue *queue, exchange *e) {
    e->before = queue->last;
    e->after = NULL;
    *(queue->last ? &queue->last->after : &queue->first) = e;
    queue->last = e;
}

static bool is_queued(const exchange_queue *queue, const exchange *e) {
    return e->before || queue->first == e;
}

static void dequeue(exchange_queue *queue, exchange *e) {
    if (!is_queued(queue, e))
        return;
    *(e->before ? &e->before->after : &queue->first) = e->after;
    *(e->after ? &e->after->before : &queue->last) = e->before;
    e->before = e->after = NULL;
}

static exchange *exchange_new(server *s, connection *c) {
    exchange *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->server = s;
    e->connection = c;
    e->id = ++s->last_id;
    exchange **bucket = bucket_of(s, e->id);
    e->same_bucket = *bucket;
    *bucket = e;
    enqueue(&s->waiting, e);
    c->owner = e;
    return e;
}

void server_end(exchange *e) {
    server *s = e->server;
    dequeue(e->state == WAITING ? &s->waiting : &s->left, e);
    exchange **link = bucket_of(s, e->id);
    while (*link != e)
        link = &(*link)->same_bucket;
    *link = e->same_bucket;
    server_wake(&e->writer);
    budget_set(&s->rules.budget, &e->burden, 0, false);
    if (e->connection)
        e->connection->owner = NULL;
    free(e);
}

exchange *server_find(server *s, lua_Integer id) {
    exchange *e = *bucket_of(s, id);
    while (e && e->id != id)
        e = e->same_bucket;
    return e && e->state != WAITING ? e : NULL;
}

bool server_has_next(const server *s) {
    return s->left.first || s->waiting.first;
}

exchange *server_take(server *s) {
    exchange_queue *queue = s->left.first ? &s->left : &s->waiting;
    exchange *e = queue->first;
    if (!e)
        return NULL;
    dequeue(queue, e);
    if (e->state == WAITING)
        e->state = TAKEN;
    return e;
}

void server_hand_over(exchange *e) {
    size_t bytes = connection_forget_body(e->connection);
    budget_set(&e->server->rules.budget, &e->burden, bytes, false);
}

/* ---- what connections tell ---- */

static void turn_down(connection *c) {
    text_buffer text = {0};
    status_add_refusal(&text, 503, "the server is about to end");
    c->keep_alive = false;
    connection_queue(c, text.text, text.length);
    connection_finish(c, false);
    text_free(&text);
}

static void on_arrived(connection *c) {
    server *s = (server *)c->rules;
    if (s->closing || !exchange_new(s, c))
        turn_down(c);
    else
        server_wake(&s->taker);
}

static void on_drained(connection *c) {
    exchange *e = c->owner;
    if (e)
        server_wake(&e->writer);
}

static void on_gone(connection *c) {
    exchange *e = c->owner;
    if (!e)
        return;
    e->connection = NULL;
    server_wake(&e->writer);
    if (e->state == WAITING) {
        server_end(e);
        return;
    }
    enqueue(&e->server->left, e);
    server_wake(&e->server->taker);
}

static void on_left(connection_rules *rules) {
    server *s = (server *)rules;
    door_room(&s->door);
    if (s->draining && rules->places.count == 0)
        server_close_port(s);
}

static void on_freed(connection_rules *rules) {
    server *s = (server *)rules;
    s->holds--;
    let_go(s);
}

/* ---- who may come in ---- */

static server *server_of(door *d) {
    return (server *)((char *)d - offsetof(server, door));
}

static bool evict(server *s, place *p) {
    if (!p)
        return false;
    s->evicted++;
    connection_close((connection *)p);
    return true;
}

/* Who is new or slow and has just said something is read first: the loop may have been late. */
static bool on_scarce(door *d) {
    server *s = server_of(d);
    place *p = places_next(&s->rules.places, uv_now(task_loop()));
    bool may_be_heard = p && (p->kind == PLACE_FRESH || p->kind == PLACE_READING);
    return !(may_be_heard && connection_has_news((connection *)p)) && evict(s, p);
}

static bool on_knock(door *d) {
    const places *all = &server_of(d)->rules.places;
    return all->count < all->most || on_scarce(d);
}

/* Best effort: what the client has sent meanwhile may have the kernel reset the connection. */
static void turn_away(server *s, int fd) {
    text_buffer text = {0};
    s->turned_away++;
    if (!s->rules.tls) {
        status_add_refusal(&text, 429, "too many connections from your address");
        send(fd, text.text, text.length, MSG_DONTWAIT | MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
    }
    text_free(&text);
    close(fd);
}

static void admit(door *d, int fd, const struct sockaddr_storage *address) {
    server *s = server_of(d);
    if (places_full_for(&s->rules.places, address) && !evict(s, places_next_of(&s->rules.places, address))) {
        turn_away(s, fd);
        return;
    }
    if (connection_new(&s->rules, fd, address))
        s->holds++;
    else
        close(fd);
}

static void on_door_closed(door *d) {
    on_freed(&server_of(d)->rules);
}

/* ---- the beginning of a server ---- */

/* As many connections as there may be descriptors for, of those wanted; the process is allowed more for them
 * where it may allow itself more. */
static size_t affordable(size_t wanted) {
    struct rlimit limit;
    rlim_t needed = (rlim_t)wanted + OTHER_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return wanted;
    if (limit.rlim_cur < needed) {
        limit.rlim_cur = needed < limit.rlim_max ? needed : limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur >= needed)
        return wanted;
    return limit.rlim_cur > 2 * OTHER_DESCRIPTORS ? (size_t)limit.rlim_cur - OTHER_DESCRIPTORS
                                                  : (size_t)limit.rlim_cur / 2 + 1;
}

static void set_rules(server *s, const listen_options *options) {
    connection_rules *rules = &s->rules;
    rules->limit = options->limit;
    rules->budget.most = options->memory;
    rules->takes_large = options->large;
    rules->silence = options->timeout * 1000ULL;
    rules->deadline = options->deadline * 1000ULL;
    rules->arrived = on_arrived;
    rules->drained = on_drained;
    rules->gone = on_gone;
    rules->left = on_left;
    rules->freed = on_freed;
    places_init(&rules->places, affordable(options->connections), options->per_address);
}

bool server_start(server *s, const listen_options *options, const listener *l) {
    set_rules(s, options);
    s->rules.scratch = malloc(CONNECTION_SCRATCH);
    s->door = (door){.fd = l->fd,
                     .make_room = on_knock,
                     .free_descriptor = on_scarce,
                     .admit = admit,
                     .closed = on_door_closed};
    if (!s->rules.scratch || door_open(&s->door))
        return false;
    s->listener = *l;
    s->holds = 1;
    s->running = true;
    return true;
}

void server_renew(server *s, SSL_CTX *tls) {
    SSL_CTX_free(s->rules.tls); /* sessions under way hold it themselves */
    s->rules.tls = tls;
}

/* ---- the end of a server ---- */

static void close_all_of(server *s, place_kind kind) {
    place *p;
    while ((p = s->rules.places.kinds[kind].first))
        connection_close((connection *)p);
}

static void close_door(server *s) {
    s->rules.ending = true;
    listen_forget(&s->listener);
    door_close(&s->door);
}

/* Closing one whose request is on the way would have the client find a broken connection. */
static void hurry_all_of(server *s, place_kind kind) {
    for (place *p = s->rules.places.kinds[kind].first; p; p = p->after)
        connection_hurry((connection *)p);
}

void server_close_port(server *s) {
    if (s->closing || !s->running)
        return;
    s->closing = true;
    close_door(s);
    close_all_of(s, PLACE_IDLE);
    close_all_of(s, PLACE_FRESH);
    server_wake(&s->taker);
}

void server_drain(server *s) {
    if (s->closing || s->draining || !s->running)
        return;
    close_door(s);
    hurry_all_of(s, PLACE_IDLE);
    hurry_all_of(s, PLACE_FRESH);
    s->draining = true;
    if (s->rules.places.count == 0)
        server_close_port(s);
}

void server_stop(server *s) {
    if (!s->running)
        return;
    server_close_port(s);
    for (place_kind kind = PLACE_IDLE; kind < PLACE_KINDS; kind++)
        close_all_of(s, kind);
    s->running = false;
    server_wake(&s->closer);
}

static void forget_exchanges(server *s) {
    for (size_t i = 0; i < SERVER_BUCKETS; i++)
        while (s->exchanges[i])
            server_end(s->exchanges[i]);
}

void server_free(server *s) {
    server_stop(s);
    forget_exchanges(s);
    s->collected = true;
    let_go(s);
}
