/* User certificates (PROTOCOL.certkeys in OpenSSH's sources): a public key that an authority has signed. The
 * private key of the plain one signs for it. */
#ifndef HOSTLER_SSH_CERTIFICATE_H
#define HOSTLER_SSH_CERTIFICATE_H

#include "ssh/key.h"

/* Loads the certificate in the file, or in PATH.pub; its comment is the path. False when there is none. */
bool certificate_load(const char *path, ssh_key *certificate);

/* Whether this plain key is the one that the certificate is about. */
bool certificate_is_about(const ssh_key *certificate, const ssh_key *key);

/* Whether libssh2 can log in with it: up to 1.10 it sends the signature of an ECDSA certificate as servers
 * want it, and of no other. */
bool certificate_is_supported(const ssh_key *certificate);

#endif
