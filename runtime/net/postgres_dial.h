/* Connecting to PostgreSQL on the loop: for the store of runs, and for the postgres module.
 *
 * libpq would resolve the server's name with a blocking call. Here net/resolve does it, and libpq gets one
 * address at a time, with the name beside it, since the name is what a certificate is checked against. There
 * may be several servers ("host=a,b"), which are taken one after the other, and each may have several
 * addresses: each gets its share of the time, so that one which does not answer keeps nobody from the next.
 */
#ifndef HOSTLER_NET_POSTGRES_DIAL_H
#define HOSTLER_NET_POSTGRES_DIAL_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <uv.h>

#define POSTGRES_DIAL_MOST_SETTINGS 64

/* libpq's keywords and their values; the texts belong to somebody else. Zeroed, there are none. */
typedef struct {
    int count;
    const char *keywords[POSTGRES_DIAL_MOST_SETTINGS + 1], *values[POSTGRES_DIAL_MOST_SETTINGS + 1];
} postgres_dial_settings;

/* Replaces or adds a setting. False when there are too many. */
bool postgres_dial_set(postgres_dial_settings *settings, const char *keyword, const char *value);

/* Its value; NULL or empty when it is not set. */
const char *postgres_dial_get(const postgres_dial_settings *settings, const char *keyword);

typedef struct postgres_dial postgres_dial;

/* The connection is the receiver's, and non-blocking; without one, `problem` says why, and `state` is the
 * SQLSTATE with which a server has refused, or empty; both only during the call. */
typedef void postgres_dial_done(void *data, PGconn *connection, const char *problem, const char *state);

/* Begins to connect. `connected` is called once, from the loop; until then the settings' texts have to stay.
 * `notice` receives what the server remarks, with `data`. */
postgres_dial *postgres_dial_begin(const postgres_dial_settings *settings, double seconds,
                                   PQnoticeReceiver notice, postgres_dial_done *connected, void *data);

/* Gives up: `connected` will not be called. */
void postgres_dial_give_up(postgres_dial *attempt);

/* Calls back when the connection's socket is ready for these events (UV_READABLE, UV_WRITABLE). *poll is the
 * caller's, NULL at first. Returns a libuv error or 0. */
int postgres_dial_watch(uv_poll_t **poll, const PGconn *connection, int events, uv_poll_cb ready, void *data);

/* Stops watching. Must come before libpq may close or replace the socket. */
void postgres_dial_unwatch(uv_poll_t **poll);

#endif
