/* See requests.h. */
#include "journal/postgres/requests.h"

#include "base/clock.h"
#include "task/handle.h"
#include "task/task.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LATER_MS 200
#define PAUSE_MS 50        /* between two tries to connect */
#define SHORT_TRY_MS 1000  /* once the server was found missing, until it is back */
#define MANY_UNWRITTEN 256 /* they are sent without waiting for more */

struct request {
    request *next;
    request_ended *ended;
    void *asker;
    statement *first, *last; /* given to requests_later() before it */
    statement *main;
    bool writes;
    bool connects;  /* and nothing else */
    bool tried;     /* it may have been committed */
    bool lost;      /* a try of it has found no server */
    int64_t number; /* for the guard */
    /* Of clock_milliseconds(): */
    int64_t began, sent, deadline;
};

/* ---- what is written later ---- */

static void free_request(request *r) {
    statements_free(r->first);
    statements_free(r->main);
    free(r);
}

static int count_statements(const statement *t) {
    int count = 0;
    for (; t; t = t->next)
        count++;
    return count;
}

/* Gives the queue to a request, which has to write it. */
static void take_queue(requests *q, request *r) {
    r->first = q->first;
    r->last = q->last;
    r->writes = r->writes || r->first;
    q->first = q->last = NULL;
    uv_timer_stop(q->later);
}

/* What a failed request should have written goes with the next one that writes. */
static void put_back(requests *q, request *r) {
    if (!r->first)
        return;
    request *heir = q->next;
    while (heir && !heir->writes)
        heir = heir->next;
    statement **first = heir ? &heir->first : &q->first, **last = heir ? &heir->last : &q->last;
    r->last->next = *first;
    *last = *first ? *last : r->last;
    *first = r->first;
    r->first = r->last = NULL;
}

/* ---- serving a request ---- */

static void serve_next(requests *q);
static void try(requests *q);

static request *take_next(requests *q) {
    request *r = q->next;
    q->next = r->next;
    r->next = NULL;
    return r;
}

static void tell(requests *q, request *r, outcome o) {
    if (r->ended)
        r->ended(r->asker, &q->link, o);
    r->ended = NULL;
    PQclear(link_take_rows(&q->link));
}

/* It may have been committed all the same. Its asker has heard of a failure; what it had to write for others
 * is sent again, with the same number, before anything else. */
static void keep(requests *q, request *r) {
    statements_free(r->main);
    r->main = NULL;
    r->next = q->next;
    q->next = r;
}

static void settle(requests *q, request *r, outcome o) {
    tell(q, r, o);
    if (o != DONE)
        put_back(q, r);
    free_request(r);
}

/* Those that wait for a server which cannot be reached have waited for it as well. */
static void settle_lost(requests *q, request *r) {
    bool doubtful = r->tried && r->first && q->guard;
    if (doubtful)
        tell(q, r, LOST);
    else
        settle(q, r, LOST);
    while (q->next)
        settle(q, take_next(q), LOST);
    if (doubtful)
        keep(q, r);
}

static void end(requests *q, outcome o) {
    request *r = q->current;
    q->current = NULL;
    q->missing = o == LOST;
    if (o == LOST) {
        settle_lost(q, r);
        return;
    }
    if (o == DONE)
        q->unwritten -= count_statements(r->first);
    if (o == DONE && r->number)
        q->renewed = r->sent;
    settle(q, r, o);
    serve_next(q);
}

static void on_pause_over(uv_timer_t *timer) {
    try(timer->data);
}

/* Tries again in a moment, when there is time for it. */
static void try_again(requests *q) {
    q->current->lost = true;
    if (clock_milliseconds() + PAUSE_MS >= q->current->deadline)
        end(q, LOST);
    else
        uv_timer_start(q->pause, on_pause_over, PAUSE_MS, 0);
}

static void set_number(statement *t, int64_t number) {
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, number);
    free(t->values[t->count - 1]);
    t->values[t->count - 1] = link_must(strdup(text));
}

/* Either this number's transaction was committed by an earlier try, or the run is another process's. */
static void on_looked(journal_link *link, outcome o) {
    requests *q = link->owner;
    PGresult *rows = link_take_rows(link);
    bool found = PQntuples(rows) > 0;
    PQclear(rows);
    if (o == LOST)
        try_again(q);
    else
        end(q, found ? DONE : FENCED);
}

static void look(requests *q) {
    set_number(q->written, q->current->number);
    link_exchange(&q->link, q->current->deadline, NULL, NULL, q->written, on_looked);
}

/* Whether the lease that the transaction renewed is over: this process stood still, and the run may be
 * another's.
 */
static bool is_late(const requests *q) {
    const request *r = q->current;
    return r->number && q->guard && clock_milliseconds() >= r->sent + q->lease_ms;
}

static void renew(requests *q);

static void on_renewed(journal_link *link, outcome o) {
    requests *q = link->owner;
    if (o == DONE && is_late(q))
        renew(q);
    else
        end(q, o);
}

/* What was committed stays so; but before its asker goes on, the lease has to be renewed. */
static void renew(requests *q) {
    q->current->sent = clock_milliseconds();
    set_number(q->guard, ++q->number);
    link_exchange(&q->link, q->current->sent + q->patience_ms, q->guard, NULL, NULL, on_renewed);
}

static void on_exchanged(journal_link *link, outcome o) {
    requests *q = link->owner;
    request *r = q->current;
    bool again = r->tried;
    r->tried = true;
    if (o == FENCED && again && q->written)
        look(q);
    else if (o == LOST)
        try_again(q);
    else if (o == DONE && is_late(q))
        renew(q);
    else
        end(q, o);
}

/* When a try ends at the latest that may take so many milliseconds. */
static int64_t end_of_try(const request *r, int64_t longest) {
    int64_t end = r->sent + longest;
    return end < r->deadline ? end : r->deadline;
}

/* Half of the time is left for a second try when the first one's connection is dead and does not tell. */
static void exchange(requests *q) {
    request *r = q->current;
    const statement *guard = r->writes ? q->guard : NULL;
    if (guard)
        set_number(q->guard, r->number);
    r->sent = clock_milliseconds();
    int64_t longest = r->tried ? q->patience_ms : q->patience_ms / 2;
    link_exchange(&q->link, end_of_try(r, longest), guard, r->first, r->main, on_exchanged);
}

static void on_connected(journal_link *link, outcome o) {
    requests *q = link->owner;
    if (q->current->connects)
        end(q, o);
    else if (o == DONE)
        exchange(q);
    else
        try_again(q);
}

static void try(requests *q) {
    if (q->link.connection) {
        exchange(q);
    } else {
        q->current->sent = clock_milliseconds();
        link_connect(&q->link, end_of_try(q->current, q->patience_ms), on_connected);
    }
}

static void serve_next(requests *q) {
    if (q->current || !q->next)
        return;
    request *r = q->current = take_next(q);
    int64_t time = q->missing && q->patience_ms > SHORT_TRY_MS ? SHORT_TRY_MS : q->patience_ms;
    int64_t end_of_lease = q->guard ? q->renewed + q->lease_ms : 0;
    r->began = clock_milliseconds();
    r->deadline = r->began + time > end_of_lease ? r->began + time : end_of_lease;
    if (r->writes && q->guard && !r->number)
        r->number = ++q->number;
    try(q);
}

/* ---- the face ---- */

static void add(requests *q, request *r) {
    take_queue(q, r);
    request **end_of_line = &q->next;
    while (*end_of_line)
        end_of_line = &(*end_of_line)->next;
    *end_of_line = r;
    serve_next(q);
}

void requests_add(requests *q, statement *main, bool writes, request_ended *ended, void *asker) {
    request *r = link_must(calloc(1, sizeof *r));
    *r = (request){.main = main, .writes = writes, .ended = ended, .asker = asker};
    add(q, r);
}

void requests_connect(requests *q, request_ended *ended, void *asker) {
    request *r = link_must(calloc(1, sizeof *r));
    *r = (request){.connects = true, .ended = ended, .asker = asker};
    add(q, r);
}

/* A server that is missing is not waited for. */
static void send_queue(requests *q) {
    if (q->first && !q->missing)
        requests_add(q, NULL, true, NULL, NULL);
}

static void on_later(uv_timer_t *timer) {
    send_queue(timer->data);
}

void requests_later(requests *q, statement *t) {
    if (!q->first)
        q->first = t;
    else
        q->last->next = t;
    q->last = t;
    if (++q->unwritten % MANY_UNWRITTEN == 0)
        send_queue(q);
    else if (!uv_is_active((uv_handle_t *)q->later))
        uv_timer_start(q->later, on_later, LATER_MS, 0);
}

/* What was kept belongs to the guard that goes. */
static void drop_kept(requests *q) {
    if (!q->next || !q->next->number)
        return;
    request *kept = take_next(q);
    q->unwritten -= count_statements(kept->first);
    free_request(kept);
}

void requests_guard(requests *q, statement *guard, statement *written) {
    drop_kept(q);
    statements_free(q->guard);
    statements_free(q->written);
    q->guard = guard;
    q->written = written;
    q->number = 0;
    q->renewed = clock_milliseconds();
}

int64_t requests_waiting(const requests *q, const char **why) {
    const request *r = q->current;
    *why = r && r->lost && *q->link.detail ? q->link.detail : "the server does not answer";
    return r ? clock_milliseconds() - r->began : 0;
}

/* ---- opening and closing ---- */

static uv_timer_t *new_timer(requests *q) {
    uv_timer_t *timer = link_must(malloc(sizeof *timer));
    uv_timer_init(task_loop(), timer);
    timer->data = q;
    return timer;
}

void requests_open(requests *q, double patience, double lease) {
    q->patience_ms = (int64_t)(patience * 1000);
    q->lease_ms = (int64_t)(lease * 1000);
    q->link.owner = q;
    q->later = new_timer(q);
    uv_unref((uv_handle_t *)q->later);
    q->pause = new_timer(q);
}

void requests_close(requests *q) {
    link_close(&q->link);
    if (q->current)
        free_request(q->current);
    while (q->next)
        free_request(take_next(q));
    statements_free(q->first);
    requests_guard(q, NULL, NULL);
    handle_discard(q->later);
    handle_discard(q->pause);
}
