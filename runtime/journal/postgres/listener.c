/* See listener.h. */
#include "journal/postgres/listener.h"

#include "journal/postgres/link.h"
#include "task/handle.h"
#include "task/task.h"

#include <stdlib.h>

#define PATIENCE_SECONDS 10 /* to connect */
#define PAUSE_MS 1000       /* before it is tried again */

static void dial(listener *l);

static void drop(listener *l) {
    if (l->attempt)
        postgres_dial_give_up(l->attempt);
    l->attempt = NULL;
    postgres_dial_unwatch(&l->poll);
    PQfinish(l->connection);
    l->connection = NULL;
}

static void on_pause_over(uv_timer_t *timer) {
    dial(timer->data);
}

static void dial_later(listener *l) {
    drop(l);
    uv_timer_start(l->pause, on_pause_over, PAUSE_MS, 0);
}

static void watch(listener *l, int events);

/* The answer to LISTEN, which says that from then on nothing is missed, and notifications. */
static bool receive(listener *l) {
    bool failed = false;
    if (!PQconsumeInput(l->connection))
        return false;
    while (!PQisBusy(l->connection)) {
        PGresult *result = PQgetResult(l->connection);
        if (!result)
            break;
        failed = PQresultStatus(result) != PGRES_COMMAND_OK;
        PQclear(result);
        bell_ring(l->bell);
    }
    for (PGnotify *note; (note = PQnotifies(l->connection)); PQfreemem(note))
        bell_ring(l->bell);
    return !failed && PQstatus(l->connection) == CONNECTION_OK;
}

static void on_ready(uv_poll_t *poll, int status, int events) {
    (void)status, (void)events; /* libpq tells of an error on the socket */
    listener *l = poll->data;
    int unsent = PQflush(l->connection);
    if (unsent < 0 || !receive(l))
        dial_later(l);
    else
        watch(l, unsent ? UV_READABLE | UV_WRITABLE : UV_READABLE);
}

static void watch(listener *l, int events) {
    if (postgres_dial_watch(&l->poll, l->connection, events, on_ready, l))
        dial_later(l);
    else
        uv_unref((uv_handle_t *)l->poll);
}

static void on_connected(void *data, PGconn *connection, const char *problem, const char *state) {
    (void)problem, (void)state; /* who uses the store is told by it */
    listener *l = data;
    l->attempt = NULL;
    l->connection = connection;
    if (connection && PQsendQuery(connection, "LISTEN hostler_queue"))
        watch(l, UV_READABLE | UV_WRITABLE);
    else
        dial_later(l);
}

static void ignore_notice(void *unused, const PGresult *result) {
    (void)unused, (void)result;
}

static void dial(listener *l) {
    l->attempt = postgres_dial_begin(l->settings, PATIENCE_SECONDS, ignore_notice, on_connected, l);
}

void listener_open(listener *l, const postgres_dial_settings *settings, bell *b) {
    *l = (listener){.settings = settings, .bell = b};
    l->pause = link_must(malloc(sizeof *l->pause));
    uv_timer_init(task_loop(), l->pause);
    uv_unref((uv_handle_t *)l->pause);
    l->pause->data = l;
    dial(l);
}

void listener_close(listener *l) {
    drop(l);
    handle_discard(l->pause);
}
