/* An HTTP server: libmicrohttpd on the loop, requests as values that are taken one by one. What it listens on
 * is listen.c's, an answer reply.c's, tasks and the shapes of requests are lua.c's. */
#ifndef HOSTLER_WEB_SERVER_H
#define HOSTLER_WEB_SERVER_H

#include "task/task.h"
#include "web/listen.h"

#include <microhttpd.h>

typedef struct server server;
typedef struct exchange exchange;

typedef enum {
    READING,  /* its body is coming in */
    WAITING,  /* complete, suspended; no task has taken it */
    TAKEN,    /* suspended; a handler works on it */
    ANSWERED, /* libmicrohttpd sends the answer */
    DROPPED   /* the connection is to be closed without an answer */
} exchange_state;

/* One request and its answer; on_completed ends its life. */
struct exchange {
    server *server;
    exchange *next;
    struct MHD_Connection *connection;
    uv_poll_t *watch; /* while suspended: does the client hang up? */
    lua_Integer id;
    exchange_state state;
    char *method, *path, *body;
    size_t length, room, discarded;
    bool too_large, gone, gone_told;
    struct MHD_Response *response;
    unsigned status;
};

struct server {
    struct MHD_Daemon *daemon; /* NULL once stopped */
    uv_poll_t poll;
    uv_timer_t timer;
    int open_handles;
    exchange *first;
    lua_Integer last_id;
    size_t limit;
    wait *taker, *closer; /* who waits for a request, and who for the end */
    bool closing, collected;
};

/* Serves on this socket with a zeroed server; false when libmicrohttpd cannot start. */
bool server_start(server *s, const listen_options *options, int port);

/* Stops listening; connections live on. */
void server_close_port(server *s);

/* Ends every connection. */
void server_stop(server *s);

/* Stops it, and frees it when the loop has let go of it. */
void server_free(server *s);

/* The exchange of this number that a handler works on, or NULL: a client that left takes its number along. */
exchange *server_find(server *s, lua_Integer id);

/* The first that nobody has taken, or whose client has gone, which nobody has been told; or NULL. */
exchange *server_next(server *s);

/* Ends the wait in *waiting, s->taker or s->closer, if there is one. */
void server_wake(wait **waiting);

/* Lets libmicrohttpd go on with the connection, on the loop's next turn: with the answer, or to its end. */
void exchange_resume(exchange *e, exchange_state state);

#endif
