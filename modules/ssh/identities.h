/* The keys and certificates with which somebody may log in, in the order of trying. Internal to the ssh
 * module. */
#ifndef HOSTLER_SSH_IDENTITIES_H
#define HOSTLER_SSH_IDENTITIES_H

#include "ssh/key.h"
#include "ssh/target.h"

#define MOST_AGENT_KEYS 64
#define MOST_IDENTITIES 256

typedef struct {
    const ssh_key *signer;  /* its private half signs, or the agent */
    const ssh_buffer *blob; /* what is offered: the signer's public key, or a certificate of it */
    const char *name;       /* the key's comment or file, or the certificate's file */
    const char *algorithm;
    bool last_resort; /* an algorithm that few servers need: its key has been tried by another one */
} ssh_identity;

typedef struct {
    const char *allowed; /* algorithms with commas, best first; NULL for all */
    ssh_key from_agent[MOST_AGENT_KEYS];
    size_t agent_count;
    ssh_identity list[MOST_IDENTITIES];
    size_t count;
    ssh_buffer notes; /* why others are not among them, for people */
} ssh_identities;

/* Adds a remark for people to those before. */
void identities_note(ssh_buffer *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Takes the keys of the agent's answer: a count, and for each a blob and a comment. */
void identities_take_agent(ssh_identities *identities, const unsigned char *data, size_t length);

/* Makes the list, as OpenSSH orders it: the configured keys that the agent has, its others, then those in
 * files; the certificates of a key before the key. */
void identities_choose(ssh_identities *identities, const ssh_target *target);

void identities_free(ssh_identities *identities);

/* Forgets what has been read of files; called at the end of the world. */
void identities_close(void);

#endif
