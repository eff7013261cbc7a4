/* What the parts of the HTTP server share. */
#ifndef HOSTLER_HTTP_SERVER_H
#define HOSTLER_HTTP_SERVER_H

#include "task/task.h"

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

server *server_check(lua_State *L, int index);

/* The exchange of this number that a handler works on, or NULL: a client that left takes its number along. */
exchange *server_find(server *s, lua_Integer id);

void exchange_resume(exchange *e, exchange_state state);

typedef struct {
    const char *address, *certificate, *key; /* the latter two are PEM texts, or NULL */
    int port;
    size_t limit;
    unsigned timeout;
} listen_options;

/* Reads the options at this index; their texts live as long as the stack's values pushed here. */
listen_options listen_check(lua_State *L, int index);

/* Opens the port and sets *number to the one it got; raises "http.listen". */
int listen_open(lua_State *L, const listen_options *options, int *number);

/* answer(server, id, {status, headers, body | json, cut}) -> true, or false when the client has gone. */
int http_answer_lua(lua_State *L);

#endif
