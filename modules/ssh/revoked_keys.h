/* RevokedHostKeys of ssh_config(5): files of keys that no host may show any more, as lists of public keys or
 * as key revocation lists (PROTOCOL.krl in OpenSSH's sources; `ssh-keygen -k` makes them). */
#ifndef HOSTLER_SSH_REVOKED_KEYS_H
#define HOSTLER_SSH_REVOKED_KEYS_H

#include <stddef.h>

typedef enum { KEY_NOT_REVOKED, KEY_REVOKED, REVOCATIONS_UNREADABLE } revocation;

/* What the file says of a plain public key. When it cannot be read or understood, `*problem` says why: then
 * no key can be trusted. */
revocation revoked_keys_check(const char *file, const void *blob, size_t length, const char **problem);

#endif
