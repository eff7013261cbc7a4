/* known_hosts files as sshd(8) describes them and OpenSSH reads them: hashed names, [host]:port, lists,
 * wildcards, negations, @revoked. A line that holds no well-formed key of the type that it names says
 * nothing.
 *
 * Files are read once and again when they change. Host certificates are not supported, so @cert-authority
 * lines are only reported. */
#ifndef HOSTLER_SSH_KNOWN_HOSTS_H
#define HOSTLER_SSH_KNOWN_HOSTS_H

#include "ssh/public_key.h"

typedef enum { MARK_NONE, MARK_REVOKED, MARK_AUTHORITY } known_mark;

/* One line that concerns a host. The texts point into the file's text, which lives until nobody has lists
 * of lines: until known_keys_free of the last one that known_hosts_find was given. */
typedef struct {
    const char *file;
    int line;
    known_mark mark;
    public_key_text key;
} known_key;

/* Lines, in the order in which they were found. Begins as {0}, and ends with known_keys_free. */
typedef struct {
    known_key *list;
    size_t count, capacity;
    bool in_use; /* known_hosts_find was given it */
} known_keys;

typedef enum { HOST_MATCH, HOST_UNKNOWN, HOST_CHANGED, HOST_REVOKED } host_verdict;

/* The name a host has in these files: "host", or "[host]:port". Lower case. Malloc'ed. */
char *known_hosts_name(const char *host, int port);

/* Whether a line's names concern this one, which known_hosts_name made. */
bool known_hosts_match(const char *name, const char *names, size_t length);

/* Adds all that the file says of this name to `keys`. A missing file says nothing; `*problem` is set to one
 * of base/files.h when it exists and cannot be read. */
void known_hosts_find(const char *file, const char *name, known_keys *keys, int *problem);

/* What these lines say of the key that the host showed, as OpenSSH decides: a key of the host beside it, of
 * whatever type, makes another one a changed one. `*decisive` is the line that matched, clashes (one of the
 * key's own type, if there is any) or revokes; NULL when the host is unknown. */
host_verdict known_hosts_judge(const known_keys *keys, const void *blob, size_t length,
                               const known_key **decisive);

/* "SHA256:..." of the key on this line; "?" when its base64 is malformed. `text` has FINGERPRINT_SIZE bytes.
 */
void known_key_fingerprint(const public_key_text *key, char *text);

/* Whether the line's key is of this type. */
bool known_key_is(const known_key *key, const char *type);

/* Whether it is of the type of a key that a host showed. */
bool known_key_is_like(const known_key *key, const void *blob, size_t length);

/* Whether another line revokes the key of this one. */
bool known_key_is_revoked(const known_keys *keys, const known_key *key);

void known_keys_free(known_keys *keys);

/* Appends a key with the time in its comment, by which one can tell later what is older; makes the
 * file (0600) and its directory (0700). Returns 0 or a problem of base/files.h. */
int known_hosts_append(const char *file, const char *name, const void *blob, size_t length);

void known_hosts_close(void);

#endif
