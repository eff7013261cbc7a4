/* The key by which a host is known again: which types it is asked for, and whether the one that it shows may
 * be trusted. Internal to the ssh module. */
#ifndef HOSTLER_SSH_HOST_KEY_H
#define HOSTLER_SSH_HOST_KEY_H

#include "ssh/session.h"

/* Before the handshake: asks for the types of key that known_hosts has of the host, first. The session is
 * broken when known_hosts cannot be read. */
void host_key_prepare(ssh_session *s);

/* After it: the session is broken unless the key is a known one, or may be accepted as new and has been
 * written down. */
void host_key_check(ssh_session *s);

#endif
