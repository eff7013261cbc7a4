/* One connection of a server: reads a request, hands it over, sends what it is given for an answer, and
 * begins anew. It ends when the client leaves, is silent or too slow, when a request cannot be understood, or
 * when another one is given its place or its memory.
 *
 * Times are of the loop's clock, in milliseconds. */
#ifndef HOSTLER_WEB_CONNECTION_H
#define HOSTLER_WEB_CONNECTION_H

#include "web/budget.h"
#include "web/places.h"
#include "web/request.h"
#include "web/wire.h"

#include <uv.h>

typedef struct connection connection;

/* What the connections of one server have in common; it outlives them. */
typedef struct connection_rules {
    size_t limit;               /* bytes of a request's body */
    bool takes_large;           /* a request with a larger one arrives without it, with the status 413 */
    uint64_t silence, deadline; /* how long a client may say nothing, and take for a whole request */
    SSL_CTX *tls;               /* or NULL */
    places places;
    budget budget;  /* of what is held for clients */
    bool ending;    /* no request follows another one any more */
    size_t refused; /* requests that were not understood, or came too slowly */
    size_t crowded; /* requests and answers that gave way when too much was held */
    char *scratch;  /* CONNECTION_SCRATCH bytes to read into */
    /* The request is complete; connection_send and connection_finish answer it, now or later. */
    void (*arrived)(connection *);
    /* Little of what was sent waits for the client. Only between `arrived` and connection_finish. */
    void (*drained)(connection *);
    /* The client left before its answer was finished. */
    void (*gone)(connection *);
    /* Its place and its descriptor are free. */
    void (*left)(struct connection_rules *);
    /* So is its memory. */
    void (*freed)(struct connection_rules *);
} connection_rules;

#define CONNECTION_SCRATCH (64 * 1024)

/* Who is on the other side: an IP address, or a process on this machine. */
typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} connection_address;

struct connection {
    place place; /* the first member */
    connection_rules *rules;
    uv_poll_t poll;
    uv_timer_t timer;
    int open_handles, events;
    unsigned phase;
    wire wire;
    connection_address remote;
    uint64_t started, heard, fires; /* the request or the phase; the last bytes; the timer */
    byte_queue in, out;
    burden burden;   /* what is held for it */
    size_t moved;    /* bytes sent since `heard`, and in the end thrown away */
    request request; /* the one that is read or answered */
    bool keep_alive, broken;
    bool in_parts; /* what waits to be sent is of a streamed answer */
    void *owner;   /* of whom `arrived` is; NULL at first */
};

/* Takes this socket, and a place; NULL when there is none for the address, or no memory. The socket is then
 * still the caller's. */
connection *connection_new(connection_rules *rules, int fd, const struct sockaddr_storage *address);

/* Adds to what is sent; a client that does not read makes it wait. connection_queue leaves the sending to the
 * next call of the other one, or of connection_finish. */
void connection_send(connection *c, const char *bytes, size_t length);
void connection_queue(connection *c, const char *bytes, size_t length);

/* Bytes that wait. */
size_t connection_waiting(const connection *c);

/* The answer is complete. The next request is read when the client has it and agrees, else the connection
 * ends; a `broken` one ends without a word, for the client to notice. */
void connection_finish(connection *c, bool broken);

/* Lets go of the request's body, which its handler has now; the bytes that it had. */
size_t connection_forget_body(connection *c);

/* Whether the client has sent what nobody has read yet. */
bool connection_has_news(const connection *c);

/* The server is to end: it ends when nothing of a request comes soon, and after the next answer. */
void connection_hurry(connection *c);

/* Ends it at once. */
void connection_close(connection *c);

#endif
