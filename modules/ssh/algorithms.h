/* The algorithms that the peer is offered: what the target allows of those that libssh2 has. Internal to the
 * ssh module. */
#ifndef HOSTLER_SSH_ALGORITHMS_H
#define HOSTLER_SSH_ALGORITHMS_H

#include "ssh/session.h"

/* Before the handshake: offers only the key exchanges, ciphers and MACs that the target allows. The session
 * is broken when libssh2 has none of them. */
void algorithms_prepare(ssh_session *s);

/* Whether libssh2 has it; `method` is one of LIBSSH2_METHOD_... */
bool algorithm_is_supported(ssh_session *s, int method, const char *algorithm);

/* Whether it is in a list with commas. */
bool algorithm_is_in(const char *list, const char *algorithm);

/* Adds it to a list with commas, where it fits. */
void algorithm_append(char *list, size_t size, const char *algorithm);

/* The session fails: libssh2 has none of those that the configuration's keyword allows. */
void algorithms_fail(ssh_session *s, const char *keyword, const char *allowed);

#endif
