/* A request to stop the statement of a connection. Internal to the postgres module. */
#ifndef HOSTLER_POSTGRES_CANCEL_H
#define HOSTLER_POSTGRES_CANCEL_H

#include <libpq-fe.h>

typedef struct pg_cancel pg_cancel;

/* Sends one for the connection's statement; calls sent(data) when it is over, heard or not. */
pg_cancel *pg_cancel_send(PGconn *link, void (*sent)(void *data), void *data);

/* Nobody waits for it any more. */
void pg_cancel_forget(pg_cancel *request);

#endif
