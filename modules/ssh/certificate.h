/* OpenSSH's user certificates (PROTOCOL.certkeys in its sources): whose key they certify, and for how long.
 */
#ifndef HOSTLER_SSH_CERTIFICATE_H
#define HOSTLER_SSH_CERTIFICATE_H

#include "ssh/wire.h"

/* True for the blob of a certificate. */
bool certificate_is(const ssh_buffer *blob);

/* True when it certifies this key. */
bool certificate_is_of(const ssh_buffer *certificate, const ssh_buffer *key);

/* Why no server takes it for this user, for people, or "": its time, or whom it names. */
void certificate_problem(const ssh_buffer *certificate, const char *user, char *text, size_t size);

#endif
