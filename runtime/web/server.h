/* An HTTP server: requests of its connections as values that are taken one by one, in the order in which they
 * were complete, and answered in any. What it listens on is listen.c's, who may come in door.c's and
 * places.c's, a connection connection.c's; tasks and the shapes of requests and answers are those of lua.c
 * and its parts. */
#ifndef HOSTLER_WEB_SERVER_H
#define HOSTLER_WEB_SERVER_H

#include "task/task.h"
#include "web/connection.h"
#include "web/door.h"
#include "web/listen.h"

typedef struct server server;
typedef struct exchange exchange;

typedef enum {
    WAITING,  /* no task has taken it */
    TAKEN,    /* a handler works on it */
    STREAMING /* its answer has begun */
} exchange_state;

/* One request and its answer, from when the request is complete until server_end. */
struct exchange {
    server *server;
    connection *connection; /* NULL: the client has left */
    exchange *same_bucket;
    exchange *before, *after; /* in the queue of those that wait, or whose client has left */
    lua_Integer id;
    exchange_state state;
    bool has_body; /* of a streamed answer: it may be sent */
    wait *writer;  /* who waits for the client to read */
    burden burden; /* the body, which its handler has */
};

typedef struct {
    exchange *first, *last;
} exchange_queue;

#define SERVER_BUCKETS 256

struct server {
    connection_rules rules; /* the first member */
    door door;
    listener listener;
    exchange *exchanges[SERVER_BUCKETS];
    exchange_queue waiting, left; /* left: whose clients have, which nobody has been told */
    lua_Integer last_id;
    size_t evicted, turned_away;
    wait *taker, *closer; /* who waits for a request, and who for the end */
    unsigned holds;       /* handles of libuv's, and connections, that point here */
    bool running, draining, closing, collected;
};

/* Serves what the listener has, which it owns from then on, with a zeroed server whose rules.tls is set.
 * Fewer connections than the options name are allowed where the process may not have as many descriptors.
 * False when memory is out; the listener is then still the caller's. */
bool server_start(server *s, const listen_options *options, const listener *l);

/* Who connects from now on is served with this context, which the server owns; who is connected already keeps
 * his. */
void server_renew(server *s, SSL_CTX *tls);

/* Stops listening and ends what is idle; other connections live on, but no request is taken any more. */
void server_close_port(server *s);

/* The same, but the requests under way are taken and answered; then it closes. */
void server_drain(server *s);

/* Ends every connection. */
void server_stop(server *s);

/* Stops it, and frees it when the loop has let go of it. */
void server_free(server *s);

/* The exchange of this number that was taken, or NULL. */
exchange *server_find(server *s, lua_Integer id);

/* Takes the next request, or one whose client has left out of its queue; NULL when there is none. */
exchange *server_take(server *s);

/* Whether server_take has one. */
bool server_has_next(const server *s);

/* Its request, which was taken, has been handed over as a value: the body is held there until the exchange is
 * over. */
void server_hand_over(exchange *e);

/* The exchange is over: frees it. Its connection is up to the caller. */
void server_end(exchange *e);

/* Ends the wait in *waiting, if there is one. */
void server_wake(wait **waiting);

#endif
