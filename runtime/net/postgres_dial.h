/* Connecting to PostgreSQL on the loop: for the store of runs, and for the postgres module.
 *
 * libpq would resolve the server's name with a blocking call. Here libuv's threads do it, and libpq gets one
 * address at a time, with the name beside it, since the name is what a certificate is checked against. A
 * server may have several addresses, and there may be several servers ("host=a,b"): each gets its share of
 * the time, so that one which does not answer keeps nobody from the next. */
#ifndef HOSTLER_NET_POSTGRES_DIAL_H
#define HOSTLER_NET_POSTGRES_DIAL_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <uv.h>

#define PQ_MOST_SETTINGS 64

/* libpq's keywords and their values; the texts belong to somebody else. Zeroed, there are none. */
typedef struct {
    int count;
    const char *keywords[PQ_MOST_SETTINGS + 1], *values[PQ_MOST_SETTINGS + 1];
} pq_settings;

/* Replaces or adds a setting. False when there are too many. */
bool pq_set(pq_settings *settings, const char *keyword, const char *value);

/* Its value; NULL or empty when it is not set. */
const char *pq_get(const pq_settings *settings, const char *keyword);

typedef struct pq_attempt pq_attempt;

/* The connection is the receiver's, and non-blocking; without one, `problem` says why, and only during the
 * call. */
typedef void pq_connected(void *data, PGconn *connection, const char *problem);

/* Begins to connect. `connected` is called once, from the loop; until then the settings' texts have to stay.
 * `notice` receives what the server remarks, with `data`. */
pq_attempt *pq_connect(const pq_settings *settings, double seconds, PQnoticeReceiver notice,
                       pq_connected *connected, void *data);

/* Gives up: `connected` will not be called. */
void pq_give_up(pq_attempt *attempt);

/* Calls back when the connection's socket is ready for these events (UV_READABLE, UV_WRITABLE). *poll is the
 * caller's, NULL at first. Returns a libuv error or 0. */
int pq_watch(uv_poll_t **poll, const PGconn *connection, int events, uv_poll_cb ready, void *data);

/* Stops watching. Must come before libpq may close or replace the socket. */
void pq_unwatch(uv_poll_t **poll);

#endif
