/* The bytes of a connection, plain or through TLS. Nothing here waits. */
#ifndef HOSTLER_WEB_WIRE_H
#define HOSTLER_WEB_WIRE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Results beside a count of bytes. */
#define WIRE_END 0
#define WIRE_WAIT (-1)   /* nothing is to be had now: `wants` says for what to poll */
#define WIRE_BROKEN (-2) /* the connection is of no use any more */

typedef struct {
    int fd;
    SSL *tls;  /* NULL for a plain one */
    int wants; /* UV_READABLE or UV_WRITABLE, after WIRE_WAIT */
    bool shut;
} wire;

/* A server's side of it over this socket, which it owns; through TLS where a context is given. False without
 * memory; the socket is then still the caller's. */
bool wire_open(wire *t, int fd, SSL_CTX *context);

/* Reads at most `room` bytes, at least 16 KiB; WIRE_END when the client sends no more. */
ssize_t wire_read(wire *t, char *bytes, size_t room);

/* Writes some of the bytes. After WIRE_WAIT the next call is given the same bytes, maybe with more
 * behind them. */
ssize_t wire_write(wire *t, const char *bytes, size_t length);

/* Whether something, or the end, has come that was not read. */
bool wire_has_bytes(const wire *t);

/* Tells the client that nothing more comes. From then on wire_read throws away what it reads. */
void wire_shut(wire *t);

/* Has wire_close forget what the kernel has still to send: else it would keep that, after the connection's
 * end, for as long as the client cares not to read. */
void wire_abort(wire *t);

void wire_close(wire *t);

/* A context for a server with the certificate chain and key of these PEM files; NULL, and *problem is a
 * static or thread-local text, when they do not do. */
SSL_CTX *wire_context(const char *certificate, const char *key, const char **problem);

#endif
