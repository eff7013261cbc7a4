/* What an HTTP server is to listen on. */
#ifndef HOSTLER_WEB_LISTEN_H
#define HOSTLER_WEB_LISTEN_H

#include <lua.h>
#include <stddef.h>

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

#endif
