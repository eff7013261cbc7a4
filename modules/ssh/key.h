/* Public and private keys: fingerprints, key files, signatures. Agents' keys have no private half here. */
#ifndef HOSTLER_SSH_KEY_H
#define HOSTLER_SSH_KEY_H

#include "ssh/wire.h"

#include <openssl/evp.h>

typedef struct {
    ssh_buffer blob;   /* the public key, as RFC 4253 section 6.6 has it */
    char *comment;     /* what people call it: the agent's comment or the file's path */
    EVP_PKEY *private; /* NULL when an agent signs */
    int problem;       /* why its file cannot be read, as base/files.h has it; else 0 */
} ssh_key;

typedef enum {
    KEY_LOADED,
    KEY_PUBLIC, /* only the public half: an agent may have the private one */
    KEY_MISSING,
    KEY_UNREADABLE,
    KEY_EXPOSED, /* its owner, who runs this process, lets others read it */
    KEY_ENCRYPTED,
    KEY_TOKEN,
    KEY_MALFORMED
} key_file_result;

#define FINGERPRINT_SIZE 64

/* "SHA256:..." as ssh-keygen -l prints it. */
void key_fingerprint(const void *blob, size_t length, char text[FINGERPRINT_SIZE]);

/* "ED25519", "RSA", ... of a blob, for people. */
const char *key_type_shown(const void *blob, size_t length);

/* The algorithms by which a key or certificate can log in, best first; none when it is of no use here. */
#define KEY_MOST_ALGORITHMS 2
typedef const char *const key_algorithms[KEY_MOST_ALGORITHMS];
key_algorithms *key_algorithms_of(const void *blob, size_t length);

/* The type that a signature by this algorithm has: without what says that a certificate is offered. */
void key_signature_type(const char *algorithm, char text[64]);

/* Loads a public key or a certificate: "type base64 comment". False when there is none; the key is then
 * empty. */
bool key_load_public(const char *path, ssh_key *key);

/* Loads an unencrypted private key in OpenSSH's or a PEM format, or the public key (or certificate) that is
 * in the file itself, or when `path` holds none, the public key of PATH.pub, with which an agent's key can be
 * found. KEY_TOKEN: its private half is on a security token, and an agent knows how to use it. KEY_EXPOSED is
 * judged as OpenSSH does (sshkey_perm_ok in its authfile.c). The private half is only set on KEY_LOADED. */
key_file_result key_file_load(const char *path, ssh_key *key);

/* Signs as the client's part of public-key authentication: adds the signature with its type, as agents return
 * it. Returns false when it cannot. */
bool key_sign(const ssh_key *key, const char *algorithm, const unsigned char *data, size_t length,
              ssh_buffer *signature);

void key_free(ssh_key *key);

#endif
