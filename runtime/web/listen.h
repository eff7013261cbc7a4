/* What an HTTP server is to listen on, and its limits. */
#ifndef HOSTLER_WEB_LISTEN_H
#define HOSTLER_WEB_LISTEN_H

#include <lua.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct {
    const char *address, *path, *group, *certificate, *key; /* NULL where not given */
    int port, fd;                                           /* fd: -1 where not given */
    size_t limit, memory, connections, per_address;
    unsigned timeout, deadline; /* seconds */
    bool large;                 /* see connection_rules.takes_large */
} listen_options;

/* A listening socket, which does not block. */
typedef struct {
    int fd, port; /* port: 0 for a unix socket */
    char *path;   /* of a unix socket that this process has made, or NULL */
    dev_t device;
    ino_t inode;
} listener;

/* Reads the options at this index; their texts live as long as the table. Raises "usage". */
listen_options listen_check(lua_State *L, int index);

/* The context of the certificate and key in these PEM files. Raises "http.listen". */
SSL_CTX *listen_context(lua_State *L, const char *certificate, const char *key);

/* Opens an address and port, a unix socket, or takes an inherited descriptor. A socket file is replaced when
 * nobody listens on it; one that somebody has is left to him. Raises "http.listen". */
listener listen_open(lua_State *L, const listen_options *options);

/* Removes the file of a unix socket, if it is still this one's. The descriptor is its owner's to close. */
void listen_forget(listener *l);

#endif
