/* See host_key.h. What is said of a key is said by the files in the target: known_hosts and lists of revoked
 * keys. */
#include "ssh/host_key.h"

#include "base/files.h"
#include "ssh/algorithms.h"
#include "ssh/key.h"
#include "ssh/known_hosts.h"
#include "ssh/revoked_keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALGORITHMS_SIZE 512

/* What is known of the host under one of its names. */
static void find_known_keys(ssh_session *s, const char *name, known_keys *keys) {
    for (char **file = s->target.known_hosts; *file; file++) {
        int problem;
        known_hosts_find(*file, name, keys, &problem);
        if (problem) {
            failure_set(&s->failure, "ssh.known_hosts", "cannot read %s: %s", *file, files_reason(problem));
            failure_add(&s->failure, "hint", "without it the host's key cannot be checked");
        }
    }
}

/* A key that is revoked is none to be asked for. */
static bool is_known_type(const known_keys *keys, const char *type) {
    for (size_t i = 0; i < keys->count; i++)
        if (keys->list[i].mark == MARK_NONE && known_key_is(&keys->list[i], type) &&
            !known_key_is_revoked(keys, &keys->list[i]))
            return true;
    return false;
}

/* ---- asking for types ---- */

/* Whether libssh2 can check an RSA key with the signatures that today's servers make. */
static bool can_check_rsa(ssh_session *s) {
    return algorithm_is_supported(s, LIBSSH2_METHOD_HOSTKEY, "rsa-sha2-512") ||
           algorithm_is_supported(s, LIBSSH2_METHOD_HOSTKEY, "rsa-sha2-256");
}

/* Known types come first, so that a known key is not missed for an unknown one. SHA-1 signatures are asked
 * for only where an RSA key is known and libssh2 may know no better. */
static void prefer_known_types(ssh_session *s, const known_keys *keys) {
    static const struct {
        const char *algorithm, *type;
        bool only_known;
    } all[] = {
        {"ssh-ed25519", "ssh-ed25519", false},
        {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", false},
        {"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", false},
        {"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", false},
        {"rsa-sha2-512", "ssh-rsa", false},
        {"rsa-sha2-256", "ssh-rsa", false},
        {"ssh-rsa", "ssh-rsa", true},
    };
    const char *allowed = s->target.host_key_algorithms;
    char list[ALGORITHMS_SIZE] = "";
    for (int known_first = 1; known_first >= 0; known_first--) {
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
            bool known = is_known_type(keys, all[i].type);
            bool may = allowed ? algorithm_is_in(allowed, all[i].algorithm) : known || !all[i].only_known;
            if (known == (known_first == 1) && may &&
                algorithm_is_supported(s, LIBSSH2_METHOD_HOSTKEY, all[i].algorithm))
                algorithm_append(list, sizeof list, all[i].algorithm);
        }
    }
    if (*list)
        libssh2_session_method_pref(s->ssh2, LIBSSH2_METHOD_HOSTKEY, list);
    else if (allowed)
        algorithms_fail(s, "HostKeyAlgorithms", allowed);
}

void host_key_prepare(ssh_session *s) {
    known_keys keys = {0};
    find_known_keys(s, s->target.host_key_names[0], &keys);
    prefer_known_types(s, &keys);
    known_keys_free(&keys);
}

/* ---- refusing ---- */

/* A key that a host showed. */
typedef struct {
    const void *blob;
    size_t length;
    const char *type; /* for people */
    char print[FINGERPRINT_SIZE];
} shown_key;

/* The first lines of those known, for a message: their types and places. */
static void describe_known(const known_keys *keys, char *text, size_t size) {
    size_t used = 0;
    *text = '\0';
    for (size_t i = 0; i < keys->count && used < size; i++) {
        const known_key *line = &keys->list[i];
        static const char *const marks[] = {
            [MARK_NONE] = "", [MARK_REVOKED] = "revoked ", [MARK_AUTHORITY] = "authority "};
        used += (size_t)snprintf(text + used, size - used, "%s%s%.*s (%s:%d)", used ? ", " : "",
                                 marks[line->mark], (int)line->key.type_length, line->key.type, line->file,
                                 line->line);
    }
}

static void fail_unknown(ssh_session *s, const known_keys *keys, const shown_key *key) {
    char known[512];
    describe_known(keys, known, sizeof known);
    failure_set(&s->failure, "ssh.host_key_unknown",
                "%s: the host is not in known_hosts; it shows the %s key %s", s->target.label, key->type,
                key->print);
    failure_add(&s->failure, "fingerprint", "%s", key->print);
    failure_add(&s->failure, "file", "%s", s->target.known_hosts[0] ? s->target.known_hosts[0] : "");
    if (keys->count)
        failure_add(
            &s->failure, "hint",
            "known_hosts has only lines about other keys for it: %s. If the key above is right, add it "
            "with ssh-keyscan, or log in once with ssh",
            known);
    else
        failure_add(
            &s->failure, "hint",
            "compare this fingerprint with one you trust, then log in once with ssh to accept it; for a host "
            "that was just made, connect with host_key = \"accept-new\"");
}

/* A known RSA key that libssh2 has no way to ask today's servers for. */
static void fail_uncheckable(ssh_session *s, const known_key *line, const shown_key *key) {
    failure_set(
        &s->failure, "ssh.host_key_unknown",
        "%s: %s:%d knows the host by an RSA key, which libssh2 %s can check by SHA-1 signatures only, and "
        "the server does not make these; it shows the %s key %s instead, which known_hosts does not have",
        s->target.label, line->file, line->line, libssh2_version(0), key->type, key->print);
    failure_add(&s->failure, "fingerprint", "%s", key->print);
    failure_add(&s->failure, "file", "%s", line->file);
    failure_add(
        &s->failure, "hint",
        "log in once with `ssh -o UpdateHostKeys=yes`: it checks the RSA key, and then adds the host's "
        "other keys to known_hosts");
}

static void note_line(ssh_session *s, const known_key *line, const shown_key *key) {
    char known[FINGERPRINT_SIZE];
    known_key_fingerprint(&line->key, known);
    failure_add(&s->failure, "fingerprint", "%s", key->print);
    failure_add(&s->failure, "known_hosts_file", "%s", line->file);
    failure_add(&s->failure, "known_hosts_line", "%d", line->line);
    failure_add(&s->failure, "known_fingerprint", "%s", known);
    failure_add(&s->failure, "hint",
                "do not log in before you know why; `hostler run trust-host` explains the line, and "
                "replaces it when the host was made anew");
}

static void fail_changed(ssh_session *s, const known_key *line, const shown_key *key) {
    char known[FINGERPRINT_SIZE];
    bool same_type = known_key_is_like(line, key->blob, key->length);
    known_key_fingerprint(&line->key, known);
    failure_set(&s->failure, "ssh.host_key_changed",
                "%s: the host shows the %s key %s, but %s:%d has %.*s%s%s: someone may be in between, or the "
                "host was "
                "made anew",
                s->target.label, key->type, key->print, line->file, line->line,
                same_type ? 0 : (int)line->key.type_length, line->key.type, same_type ? "" : " ", known);
    note_line(s, line, key);
}

static void fail_revoked(ssh_session *s, const known_key *line, const shown_key *key) {
    failure_set(&s->failure, "ssh.host_key_revoked", "%s: the host shows the %s key %s, which %s:%d revokes",
                s->target.label, key->type, key->print, line->file, line->line);
    note_line(s, line, key);
}

/* ---- judging ---- */

/* What RevokedHostKeys says comes first, as in OpenSSH: whatever known_hosts has. */
static void check_revoked(ssh_session *s, const shown_key *key) {
    for (char **file = s->target.revoked_keys; *file; file++) {
        const char *problem;
        revocation found = revoked_keys_check(*file, key->blob, key->length, &problem);
        if (found == KEY_REVOKED) {
            failure_set(&s->failure, "ssh.host_key_revoked",
                        "%s: the host shows the %s key %s, which %s revokes", s->target.label, key->type,
                        key->print, *file);
            failure_add(&s->failure, "fingerprint", "%s", key->print);
            failure_add(
                &s->failure, "hint",
                "the file is RevokedHostKeys of the OpenSSH configuration: do not log in before you know "
                "who revoked the key, and why");
        } else if (found == REVOCATIONS_UNREADABLE) {
            failure_set(&s->failure, "ssh.known_hosts",
                        "%s: cannot tell from %s whether the host's key is revoked: %s", s->target.label,
                        *file, problem);
            failure_add(&s->failure, "hint",
                        "mend or take out RevokedHostKeys of the OpenSSH configuration; ssh refuses all "
                        "hosts as well");
        }
    }
}

static void accept_new(ssh_session *s, const shown_key *key) {
    if (!s->target.remember)
        return;
    const char *file = s->target.known_hosts[0];
    int problem =
        file ? known_hosts_append(file, s->target.host_key_names[0], key->blob, key->length) : ENOENT;
    if (problem) {
        failure_set(&s->failure, "ssh.known_hosts", "cannot write the host's key to %s: %s",
                    file ? file : "known_hosts", files_reason(problem));
    }
}

/* The verdict under the host's first name, with what is known under it; where that says nothing, the next
 * name can vouch for the key or revoke it. `*line` is the one that decided. */
static host_verdict judge(ssh_session *s, const shown_key *key, known_keys *keys, known_key *line) {
    const known_key *decisive;
    host_verdict verdict = HOST_UNKNOWN;
    for (char **name = s->target.host_key_names; verdict == HOST_UNKNOWN && *name; name++) {
        known_keys others = {0}, *found = name == s->target.host_key_names ? keys : &others;
        find_known_keys(s, *name, found);
        verdict = known_hosts_judge(found, key->blob, key->length, &decisive);
        if (decisive)
            *line = *decisive;
        if (verdict == HOST_CHANGED && found == &others)
            verdict = HOST_UNKNOWN; /* another server of the same host */
        known_keys_free(&others);
    }
    return verdict;
}

/* CheckHostIP: the address may have no line, but none that speaks against the key. As in OpenSSH, loopback
 * addresses are everybody's. */
static void check_address(ssh_session *s, const shown_key *key) {
    if (strncmp(s->dialled, "127.", 4) == 0 || strcmp(s->dialled, "::1") == 0)
        return;
    known_keys keys = {0};
    const known_key *line;
    char *name = known_hosts_name(s->dialled, s->target.port);
    find_known_keys(s, name, &keys);
    host_verdict verdict = known_hosts_judge(&keys, key->blob, key->length, &line);
    if (verdict == HOST_CHANGED)
        fail_changed(s, line, key);
    else if (verdict == HOST_REVOKED)
        fail_revoked(s, line, key);
    known_keys_free(&keys);
    free(name);
}

/* The host shows another key than the known ones; `line` is the one that clashes most. */
static void refuse_changed(ssh_session *s, const known_keys *keys, const known_key *line,
                           const shown_key *key) {
    const known_key *rsa = NULL;
    for (size_t i = keys->count; i-- > 0;)
        if (keys->list[i].mark == MARK_NONE && known_key_is(&keys->list[i], "ssh-rsa"))
            rsa = &keys->list[i];
    if (rsa && !known_key_is_like(line, key->blob, key->length) && !can_check_rsa(s))
        fail_uncheckable(s, rsa, key);
    else
        fail_changed(s, line, key);
}

void host_key_check(ssh_session *s) {
    known_keys keys = {0};
    known_key line;
    shown_key key;
    int unused;
    key.blob = libssh2_session_hostkey(s->ssh2, &key.length, &unused);
    key.type = key_type_shown(key.blob, key.length);
    key_fingerprint(key.blob, key.length, key.print);
    check_revoked(s, &key);
    if (session_is_broken(s))
        return;
    switch (judge(s, &key, &keys, &line)) {
    case HOST_MATCH:
        if (s->target.check_address)
            check_address(s, &key);
        break;
    case HOST_REVOKED:
        fail_revoked(s, &line, &key);
        break;
    case HOST_CHANGED:
        refuse_changed(s, &keys, &line, &key);
        break;
    case HOST_UNKNOWN:
        if (s->target.accept_new && !session_is_broken(s))
            accept_new(s, &key);
        else
            fail_unknown(s, &keys, &key);
        break;
    }
    known_keys_free(&keys);
}
