/* known_hosts files as sshd(8) describes them: hashed names, [host]:port, lists, wildcards, negations,
 * @revoked.
 *
 * Files are read once and again when they change. Host certificates are not supported, so @cert-authority
 * lines are only reported. */
#ifndef HOSTLER_SSH_KNOWN_HOSTS_H
#define HOSTLER_SSH_KNOWN_HOSTS_H

#include <stdbool.h>
#include <stddef.h>

#define KNOWN_KEYS_MAX 32

typedef enum { MARK_NONE, MARK_REVOKED, MARK_AUTHORITY } known_mark;

/* One line that concerns a host. The texts point into the file's text, which lives until known_hosts_close.
 */
typedef struct {
    const char *file;
    int line;
    known_mark mark;
    const char *type, *key; /* "ssh-ed25519", base64 */
    size_t type_length, key_length;
} known_key;

typedef enum { HOST_MATCH, HOST_UNKNOWN, HOST_CHANGED, HOST_REVOKED } host_verdict;

/* The name a host has in these files: "host", or "[host]:port". Lower case. Malloc'ed. */
char *known_hosts_name(const char *host, int port);

/* Whether a line's names concern this one, which known_hosts_name made. */
bool known_hosts_match(const char *name, const char *names, size_t length);

/* Adds what the file says of this name to `keys`, which holds `count` already; returns the new count, at most
 * KNOWN_KEYS_MAX. A missing file says nothing; `*problem` is set to an errno when it exists and cannot be
 * read. */
size_t known_hosts_find(const char *file, const char *name, known_key *keys, size_t count, int *problem);

/* What these lines say of the key that the host showed. `*decisive` is the line that matched, clashes or
 * revokes. */
host_verdict known_hosts_judge(const known_key *keys, size_t count, const void *blob, size_t length,
                               const known_key **decisive);

/* "SHA256:..." of the key on this line; "?" when the line is malformed. `text` has FINGERPRINT_SIZE bytes. */
void known_key_fingerprint(const known_key *key, char *text);

/* Appends a key with the time in its comment, by which one can tell later what is older; makes the
 * file (0600) and its directory (0700). Returns 0 or an errno. */
int known_hosts_append(const char *file, const char *name, const void *blob, size_t length);

void known_hosts_close(void);

#endif
