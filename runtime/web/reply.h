/* The answer to a request: from a table of Lua's to bytes. */
#ifndef HOSTLER_WEB_REPLY_H
#define HOSTLER_WEB_REPLY_H

#include "web/connection.h"

#include <lua.h>

typedef struct {
    unsigned status;
    int headers;        /* the stack's index of the list */
    const char *body;   /* NULL of one that is streamed */
    size_t length, cut; /* cut: bytes that are sent of it, for tests of clients */
    bool closes;        /* it says Connection: close */
} reply;

/* Reads {status, headers = {{name, value}, ...}, body | json, cut} at this index; its texts live as long as
 * the values pushed here. Raises "usage" for what cannot be sent. */
reply reply_check(lua_State *L, int index);

/* The same of a status and a list of headers at these indices, for an answer whose body is to be streamed. */
reply reply_check_streamed(lua_State *L, int status, int headers);

/* Sends the head, and the body that may be sent; decides whether the connection goes on. True when a body
 * that is streamed is to follow. */
bool reply_queue(lua_State *L, const reply *r, connection *c);

/* Sends a part of a streamed body; queues its end. */
void reply_send_part(connection *c, const char *bytes, size_t length);
void reply_queue_end(connection *c);

#endif
