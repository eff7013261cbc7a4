/* What a connection is to be: whose, to where, and by which keys. */
#ifndef HOSTLER_SSH_TARGET_H
#define HOSTLER_SSH_TARGET_H

#include <stdbool.h>
#include <stdint.h>

/* Texts are owned; lists end with NULL. */
typedef struct {
    char *key;   /* sessions with equal keys are the same connection */
    char *label; /* "root@web1", for messages */
    char *user;
    char *address;      /* what is dialled: a name or a number */
    char *bind_address; /* the number to dial from; NULL for any */
    char *
        *host_key_names; /* in known_hosts, with the port where they have one; new keys go under the first */
    char **known_hosts;  /* files */
    char **revoked_keys; /* files, see revoked_keys.h */
    char **identities;   /* private key files */
    char **certificates; /* files with certificates of the keys; none: PATH-cert.pub of each */
    char *agent;         /* its socket; NULL for none */
    char *password;      /* NULL for none; wiped when it has served */
    /* What the configuration allows, with commas; NULL for libssh2's choice. */
    char *key_exchanges, *host_key_algorithms, *ciphers, *macs;
    char *login_algorithms; /* likewise, by which keys may be offered, best first; NULL for all */
    int port;
    int family;                        /* of the addresses that may be dialled; AF_UNSPEC for all */
    bool check_address;                /* the lines of the address dialled must not clash either */
    bool accept_new;                   /* the key of a host that known_hosts does not know may be taken */
    bool remember;                     /* and is then written down */
    bool only_identities;              /* an agent's other keys are not offered */
    bool identities_given;             /* by the caller, so that a missing file is an error */
    uint64_t phase_timeout, keepalive; /* milliseconds */
} ssh_target;

/* Wipes the password. */
void target_forget_password(ssh_target *target);

/* Frees what it holds. */
void target_free(ssh_target *target);

#endif
