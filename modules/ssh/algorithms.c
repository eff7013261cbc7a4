/* See algorithms.h. libssh2 1.10 takes names that it does not know out of a preference with overlapping
 * copies: it is given none. */
#include "ssh/algorithms.h"

#include <stdio.h>
#include <string.h>

#define LIST_SIZE 2048

bool algorithm_is_supported(ssh_session *s, int method, const char *algorithm) {
    const char **supported = NULL;
    int count = libssh2_session_supported_algs(s->ssh2, method, &supported);
    bool found = false;
    for (int i = 0; i < count && !found; i++)
        found = strcmp(supported[i], algorithm) == 0;
    if (count > 0)
        libssh2_free(s->ssh2, supported);
    return found;
}

bool algorithm_is_in(const char *list, const char *algorithm) {
    size_t length = strlen(algorithm);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, algorithm, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    return false;
}

void algorithm_append(char *list, size_t size, const char *algorithm) {
    size_t used = strlen(list);
    if (used + strlen(algorithm) + 2 <= size)
        snprintf(list + used, size - used, "%s%s", used ? "," : "", algorithm);
}

void algorithms_fail(ssh_session *s, const char *keyword, const char *allowed) {
    failure_set(&s->failure, "ssh.config",
                "%s: %s in the OpenSSH configuration allows only %s, of which libssh2 %s has none",
                s->target.label, keyword, allowed, libssh2_version(0));
    failure_add(&s->failure, "hint", "allow one that it has for this host; `ssh -Q` lists what ssh has");
}

/* Offers what is both allowed and supported, in the order of what is allowed. */
static void offer(ssh_session *s, int method, const char *keyword, const char *allowed) {
    char list[LIST_SIZE] = "", name[128];
    for (const char *at = allowed; at && *at;) {
        size_t length = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)length, at);
        if (algorithm_is_supported(s, method, name))
            algorithm_append(list, sizeof list, name);
        at += length + (at[length] == ',');
    }
    if (*list)
        libssh2_session_method_pref(s->ssh2, method, list);
    else if (allowed)
        algorithms_fail(s, keyword, allowed);
}

void algorithms_prepare(ssh_session *s) {
    const ssh_target *target = &s->target;
    offer(s, LIBSSH2_METHOD_KEX, "KexAlgorithms", target->key_exchanges);
    offer(s, LIBSSH2_METHOD_CRYPT_CS, "Ciphers", target->ciphers);
    offer(s, LIBSSH2_METHOD_CRYPT_SC, "Ciphers", target->ciphers);
    offer(s, LIBSSH2_METHOD_MAC_CS, "MACs", target->macs);
    offer(s, LIBSSH2_METHOD_MAC_SC, "MACs", target->macs);
}
