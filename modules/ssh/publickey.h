/* Offering one public key, and proving it: the "publickey" method of RFC 4252, section 7, with any algorithm.
 * Internal to the ssh module. */
#ifndef HOSTLER_SSH_PUBLICKEY_H
#define HOSTLER_SSH_PUBLICKEY_H

#include "ssh/session.h"

typedef struct {
    ssh_session *session;
    const char *algorithm;  /* of the signature, as RFC 8332 names it: "rsa-sha2-512" */
    const ssh_buffer *blob; /* what is offered: a key or a certificate */
    /* Makes the signature of `data`, with its type, as agents return it. EAGAIN until it is there, -1 when it
     * cannot be had. */
    int (*sign)(void *context, const unsigned char *data, size_t length, ssh_buffer *signature);
    void *context;
    bool wanted; /* the server knows the key, and asked for the signature */
    /* on the way */
    ssh_buffer dressed, signature;
    void *packet, *block; /* of libssh2: its request, the signature that it is given */
    size_t packet_size, signed_length;
} publickey_offer;

/* One turn: EAGAIN, 0 when it logged in, or libssh2's error: refused, or one of several that the server
 * wants. The caller fills the first part of a zeroed offer, which stays where it is until it has ended. */
int publickey_step(publickey_offer *offer);

/* Frees what the offer made; it can be filled again. */
void publickey_end(publickey_offer *offer);

#endif
