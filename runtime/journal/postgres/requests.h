/* Requests to the PostgreSQL that holds the journal, served one after the other, each as one transaction.
 *
 * A connection that is lost is made anew, and the transaction sent again. It may have been committed the
 * first time. With a guard this is known by its number; without one the statements have to bear it. A request
 * waits for its server within the patience given, and with a guard until the lease is over which every
 * guarded transaction renews: whose it is has until then nothing else to do, and after that perhaps nothing
 * any more.
 */
#ifndef HOSTLER_JOURNAL_POSTGRES_REQUESTS_H
#define HOSTLER_JOURNAL_POSTGRES_REQUESTS_H

#include "journal/postgres/link.h"

/* How a request ended. What the link then says of it (state, detail, rows) holds during the call only. */
typedef void request_ended(void *asker, journal_link *link, outcome o);

typedef struct request request;

typedef struct {
    journal_link link;
    int64_t
        patience_ms;  /* the longest that serving a request may take; with a guard until the lease is over */
    int64_t lease_ms; /* how long a lease lasts */
    int64_t renewed;  /* when the guard's was renewed last, in clock_milliseconds() */
    int unwritten;    /* statements given to requests_later() */
    bool missing;     /* the server did not answer when it was tried last */
    request *current, *next; /* the one that is served, and those that wait */
    statement *first, *last; /* unwritten, and in none of these */
    uv_timer_t *later, *pause;
    statement *guard, *written;
    int64_t number; /* of the transaction, for the guard */
} requests;

/* The settings of q->link are the caller's to make; the rest of *q is zeroed. Both times are in seconds. */
void requests_open(requests *q, double patience, double lease);
void requests_close(requests *q);

/* Connects, before everything else. It is not tried again. */
void requests_connect(requests *q, request_ended *ended, void *asker);

/* Writes what requests_later() was given before, and `main` with what follows it, which become the request's,
 * when there is one.
 * Without anything to write, and unless `writes` says that `main` does, the guard is not asked. `ended` is
 * called once, perhaps before this returns; it may be NULL. */
void requests_add(requests *q, statement *main, bool writes, request_ended *ended, void *asker);

/* To be written in this order, soon, and at the latest with the next request. On a failure it stays: the next
 * request tells. */
void requests_later(requests *q, statement *t);

/* For how many milliseconds the request that is served has been, and what kept it so far; 0: none is. */
int64_t requests_waiting(const requests *q, const char **why);

/* What every transaction that writes begins with, and what finds whether it was committed; both have the
 * transaction's number as their last parameter, and become the line's. NULL: none. The lease counts from now.
 */
void requests_guard(requests *q, statement *guard, statement *written);

#endif
