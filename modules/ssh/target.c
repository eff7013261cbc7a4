/* See target.h. */
#include "ssh/target.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static void free_list(char **list) {
    for (char **text = list; text && *text; text++)
        free(*text);
    free(list);
}

void target_forget_password(ssh_target *target) {
    if (target->password)
        sodium_memzero(target->password, strlen(target->password));
    free(target->password);
    target->password = NULL;
}

void target_free(ssh_target *target) {
    target_forget_password(target);
    free(target->key);
    free(target->label);
    free(target->user);
    free(target->address);
    free(target->bind_address);
    free(target->key_exchanges);
    free(target->host_key_algorithms);
    free(target->ciphers);
    free(target->macs);
    free(target->login_algorithms);
    free_list(target->host_key_names);
    free_list(target->revoked_keys);
    free_list(target->certificates);
    free(target->agent);
    free_list(target->known_hosts);
    free_list(target->identities);
    memset(target, 0, sizeof *target);
}
