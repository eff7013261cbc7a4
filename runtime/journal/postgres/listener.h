/* Hears of notifications (LISTEN) on a connection of its own, which is made anew when it is lost. */
#ifndef HOSTLER_JOURNAL_POSTGRES_LISTENER_H
#define HOSTLER_JOURNAL_POSTGRES_LISTENER_H

#include "net/postgres_dial.h"
#include "task/bell.h"

typedef struct {
    const postgres_dial_settings *settings; /* these and the bell are the caller's */
    bell *bell;
    postgres_dial *attempt;
    PGconn *connection;
    uv_poll_t *poll;
    uv_timer_t *pause;
} listener;

/* From here on the bell rings with each notification, and when some may have been missed: once it is
 * connected.
 */
void listener_open(listener *l, const postgres_dial_settings *settings, bell *b);
void listener_close(listener *l);

#endif
