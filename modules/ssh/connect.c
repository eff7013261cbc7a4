/* How a connection comes up: resolve the name, dial its addresses in turn, shake hands, check the host key,
 * log in; see connect.h. Each phase has the same time limit. */
#include "ssh/connect.h"

#include "base/scrub.h"
#include "ssh/key.h"
#include "ssh/known_hosts.h"
#include "ssh/login.h"
#include "ssh/transport.h"
#include "ssh/tunnel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALGORITHMS_SIZE 512

static void dial_next(ssh_session *s);

/* ---- the name ---- */

static bool fail(ssh_session *s, const char *code, const char *problem, const char *hint) {
    failure_set(&s->failure, code, "%s: %s", s->target.label, problem);
    if (hint)
        failure_add(&s->failure, "hint", "%s", hint);
    return false;
}

static void fail_to_resolve(ssh_session *s, const resolve_answer *answer) {
    char problem[512], time[40] = "";
    if (answer->too_late)
        snprintf(time, sizeof time, " within %g s", (double)s->target.phase_timeout / 1000);
    scrub_format(problem, sizeof problem, "cannot find the address of '%s': %s%s", s->target.address,
                 answer->problem, time);
    fail(s, "ssh.resolve", problem, answer->hint);
}

static void on_resolved(void *data, const resolve_answer *answer) {
    ssh_session *s = data;
    s->resolution = NULL;
    s->addresses = *answer;
    if (answer->count > 0)
        dial_next(s);
    else
        fail_to_resolve(s, answer);
    session_wake(s);
}

void connect_begin(ssh_session *s) {
    if (s->via) {
        s->state = SESSION_DIALING; /* its clock starts when the jump host is ready */
        tunnel_begin(s);
    } else if (resolve_number(s->target.address, &s->addresses)) {
        dial_next(s);
    } else {
        s->state = SESSION_RESOLVING;
        s->resolution = resolve_begin(s->target.address, s->target.phase_timeout, on_resolved, s);
    }
}

/* ---- dialling ---- */

static void fail_to_dial(ssh_session *s) {
    char problem[256];
    scrub_format(problem, sizeof problem, "cannot connect to %s port %d: %s", s->dialled, s->target.port,
                 strerror(s->dial_error));
    if (s->dial_error == ECONNREFUSED)
        fail(s, "ssh.refused", problem,
             "the host is up, but no SSH server listens there: check the port, or sshd on the host");
    else
        fail(s, "ssh.unreachable", problem,
             "check that the host is up and that the network and firewalls let you through");
}

static bool dial(ssh_session *s, resolve_address *address) {
    socklen_t size = resolve_set_port(address, s->target.port);
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    resolve_show(address, s->dialled);
    if (fd < 0) {
        s->dial_error = errno;
        return false;
    }
    /* Without it every request waits for a delayed acknowledgement. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(fd, &address->any, size) && errno != EINPROGRESS) {
        s->dial_error = errno;
        close(fd);
        return false;
    }
    session_begin_phase(s, SESSION_DIALING);
    if (transport_watch(s, fd))
        return true;
    s->dial_error = EMFILE;
    close(fd);
    return false;
}

static void dial_next(ssh_session *s) {
    while (s->next_address < s->addresses.count)
        if (dial(s, &s->addresses.list[s->next_address++]))
            return;
    fail_to_dial(s);
}

static void end_dialling(ssh_session *s) {
    int problem = 0;
    s->dial_ended = false;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &problem, &(socklen_t){sizeof problem});
    if (problem) {
        s->dial_error = problem;
        dial_next(s);
    } else {
        session_begin_phase(s, SESSION_HANDSHAKE);
    }
}

/* ---- the host key ---- */

static size_t find_known_keys(ssh_session *s, known_key *keys) {
    size_t count = 0;
    for (char **file = s->target.known_hosts; *file; file++) {
        int problem;
        count = known_hosts_find(*file, s->target.host_key_name, keys, count, &problem);
        if (problem) {
            failure_set(&s->failure, "ssh.known_hosts", "cannot read %s: %s", *file, strerror(problem));
            failure_add(&s->failure, "hint", "without it the host's key cannot be checked");
        }
    }
    return count;
}

static void add_algorithm(char *list, const char *name) {
    if (*list)
        strcat(list, ",");
    strcat(list, name);
}

/* libssh2 1.10 takes names that it does not know out of a preference with overlapping copies: it is given
 * none. */
static bool is_supported(const char *algorithm, const char **supported, int count) {
    for (int i = 0; i < count; i++)
        if (strcmp(supported[i], algorithm) == 0)
            return true;
    return false;
}

/* Asks for the types of key that known_hosts has, first, so that a known key is not missed for an unknown
 * one. SHA-1 signatures are asked for only where an RSA key is known and libssh2 may know no better. */
static void prefer_known_types(ssh_session *s, const known_key *keys, size_t count) {
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
    const char **supported = NULL;
    int supported_count = libssh2_session_supported_algs(s->ssh2, LIBSSH2_METHOD_HOSTKEY, &supported);
    if (supported_count <= 0)
        return;
    char list[ALGORITHMS_SIZE] = "";
    for (int known_first = 1; known_first >= 0; known_first--) {
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
            bool known = false;
            for (size_t k = 0; k < count && !known; k++)
                known = keys[k].mark == MARK_NONE && keys[k].type_length == strlen(all[i].type) &&
                        memcmp(keys[k].type, all[i].type, keys[k].type_length) == 0;
            if (known == (known_first == 1) && (known || !all[i].only_known) &&
                is_supported(all[i].algorithm, supported, supported_count))
                add_algorithm(list, all[i].algorithm);
        }
    }
    libssh2_free(s->ssh2, supported);
    libssh2_session_method_pref(s->ssh2, LIBSSH2_METHOD_HOSTKEY, list);
}

/* The types of the host's known keys, and whether an authority is among them, for the message. */
static void describe_known(const known_key *keys, size_t count, char *text, size_t size) {
    size_t used = 0;
    *text = '\0';
    for (size_t i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s%.*s (%s:%d)", used ? ", " : "",
                                 keys[i].mark == MARK_AUTHORITY ? "authority " : "", (int)keys[i].type_length,
                                 keys[i].type, keys[i].file, keys[i].line);
}

static void fail_unknown(ssh_session *s, const known_key *keys, size_t count, const char *type,
                         const char *print) {
    char known[512];
    describe_known(keys, count, known, sizeof known);
    failure_set(&s->failure, "ssh.host_key_unknown",
                "%s: the host is not in known_hosts; it shows the %s key %s", s->target.label, type, print);
    failure_add(&s->failure, "fingerprint", "%s", print);
    failure_add(&s->failure, "file", "%s", s->target.known_hosts[0] ? s->target.known_hosts[0] : "");
    if (count)
        failure_add(&s->failure, "hint",
                    "known_hosts has other keys of it, which it does not show: %s. If the key above is "
                    "right, add it with "
                    "ssh-keyscan, or log in once with ssh",
                    known);
    else
        failure_add(
            &s->failure, "hint",
            "compare this fingerprint with one you trust, then log in once with ssh to accept it; for a host "
            "that was just made, connect with host_key = \"accept-new\"");
}

static void fail_changed(ssh_session *s, const known_key *line, const char *type, const char *print,
                         bool revoked) {
    char known[FINGERPRINT_SIZE];
    known_key_fingerprint(line, known);
    failure_set(&s->failure, revoked ? "ssh.host_key_revoked" : "ssh.host_key_changed",
                revoked
                    ? "%s: the host shows the %s key %s, which %s:%d revokes (%s)"
                    : "%s: the host shows the %s key %s, but %s:%d has %s: someone may be in between, or the "
                      "host was made anew",
                s->target.label, type, print, line->file, line->line, known);
    failure_add(&s->failure, "fingerprint", "%s", print);
    failure_add(&s->failure, "known_hosts_file", "%s", line->file);
    failure_add(&s->failure, "known_hosts_line", "%d", line->line);
    failure_add(&s->failure, "known_fingerprint", "%s", known);
    failure_add(&s->failure, "hint",
                "do not log in before you know why; `hostler run trust-host` explains the line, and "
                "replaces it when the host was made anew");
}

static void accept_new(ssh_session *s, const char *blob, size_t length) {
    if (!s->target.remember)
        return;
    const char *file = s->target.known_hosts[0];
    int problem = file ? known_hosts_append(file, s->target.host_key_name, blob, length) : ENOENT;
    if (problem) {
        failure_set(&s->failure, "ssh.known_hosts", "cannot write the host's key to %s: %s",
                    file ? file : "known_hosts", strerror(problem));
    }
}

static void check_host_key(ssh_session *s) {
    known_key keys[KNOWN_KEYS_MAX];
    const known_key *line;
    char print[FINGERPRINT_SIZE];
    size_t length, count = find_known_keys(s, keys);
    int unused;
    const char *blob = libssh2_session_hostkey(s->ssh2, &length, &unused);
    key_fingerprint(blob, length, print);
    const char *type = key_type_shown(blob, length);
    switch (known_hosts_judge(keys, count, blob, length, &line)) {
    case HOST_MATCH:
        break;
    case HOST_REVOKED:
        fail_changed(s, line, type, print, true);
        break;
    case HOST_CHANGED:
        fail_changed(s, line, type, print, false);
        break;
    case HOST_UNKNOWN:
        if (s->target.accept_new && count == 0)
            accept_new(s, blob, length);
        else
            fail_unknown(s, keys, count, type, print);
        break;
    }
}

/* ---- shaking hands ---- */

static bool is_ssh_greeting(const ssh_session *s) {
    return strstr(s->greeting, "SSH-") != NULL;
}

/* The peer's first line, fit to be shown. */
static void shown_greeting(const ssh_session *s, char *text, size_t size) {
    scrub_format(text, size, "%.*s", (int)strcspn(s->greeting, "\r\n"), s->greeting);
    for (char *c = text; *c; c++)
        *c = *c >= ' ' && *c < 127 ? *c : '?';
}

static void fail_handshake(ssh_session *s, int rc) {
    char problem[512], said[GREETING_SIZE];
    shown_greeting(s, said, sizeof said);
    if (s->greeting_length > 0 && !is_ssh_greeting(s)) {
        scrub_format(problem, sizeof problem, "port %d of %s is not an SSH server: it says \"%s\"",
                     s->target.port, s->dialled, said);
        fail(s, "ssh.protocol", problem, "check the port");
    } else if (s->greeting_length == 0) {
        scrub_format(problem, sizeof problem, "%s port %d closed the connection without a word", s->dialled,
                     s->target.port);
        fail(s, "ssh.closed", problem, "the server may be overloaded (MaxStartups) or refuse your address");
    } else if (*s->goodbye) {
        scrub_format(problem, sizeof problem, "the server ended the handshake: %s", s->goodbye);
        fail(s, "ssh.closed", problem, NULL);
    } else if (s->hung_up) {
        fail(s, "ssh.closed", "the server closed the connection during the handshake", NULL);
    } else {
        scrub_format(problem, sizeof problem, "the handshake failed: %s", session_last_error(s));
        fail(s, "ssh.protocol", problem,
             rc == LIBSSH2_ERROR_KEX_FAILURE || rc == LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE
                 ? "client and server may have no algorithm in common; compare with ssh -v"
                 : NULL);
    }
}

static void shake_hands(ssh_session *s) {
    if (!s->ssh2) {
        known_key keys[KNOWN_KEYS_MAX];
        size_t count = find_known_keys(s, keys);
        if (session_is_broken(s))
            return;
        if (!transport_attach(s)) {
            fail(s, "ssh.protocol", "libssh2 cannot start", NULL);
            return;
        }
        prefer_known_types(s, keys, count);
    }
    int rc = libssh2_session_handshake(s->ssh2, s->fd >= 0 ? s->fd : 0);
    if (rc == LIBSSH2_ERROR_EAGAIN)
        return;
    if (rc)
        fail_handshake(s, rc);
    else
        check_host_key(s);
    if (!session_is_broken(s))
        session_begin_phase(s, SESSION_LOGIN);
}

/* ---- the phases ---- */

void connect_step(ssh_session *s) {
    if (session_is_broken(s))
        return;
    if (s->dial_ended)
        end_dialling(s);
    if (s->state == SESSION_HANDSHAKE)
        shake_hands(s);
    if (s->state == SESSION_LOGIN && !session_is_broken(s) && login_step(s) == 0 && !session_is_broken(s)) {
        login_free(s);
        libssh2_keepalive_config(s->ssh2, 1, 1);
        if (s->via)
            s->target.keepalive = 0; /* the jump host's connection is watched instead */
        session_begin_phase(s, SESSION_READY);
        s->again = true;
    }
}

void connect_timed_out(ssh_session *s) {
    char problem[256], said[GREETING_SIZE];
    double seconds = (double)s->target.phase_timeout / 1000;
    switch (s->state) {
    case SESSION_DIALING:
        if (s->next_address < s->addresses.count) {
            s->dial_error = ETIMEDOUT;
            dial_next(s);
            return;
        }
        scrub_format(problem, sizeof problem, "no answer from %s port %d within %g s",
                     s->via ? s->target.address : s->dialled, s->target.port, seconds);
        fail(s, "ssh.unreachable", problem,
             "check that the host is up and that the network and firewalls let you through");
        break;
    case SESSION_HANDSHAKE:
        shown_greeting(s, said, sizeof said);
        if (s->greeting_length > 0 && !is_ssh_greeting(s))
            scrub_format(problem, sizeof problem, "port %d of %s is not an SSH server: it says \"%s\"",
                         s->target.port, s->dialled, said);
        else
            scrub_format(problem, sizeof problem, "%s port %d accepted the connection, but %s within %g s",
                         s->dialled, s->target.port,
                         s->greeting_length ? "did not finish the handshake" : "sent no SSH banner", seconds);
        fail(s, s->greeting_length && !is_ssh_greeting(s) ? "ssh.protocol" : "ssh.timeout", problem,
             "the server is overloaded or stuck, or something else listens on this port");
        break;
    default:
        scrub_format(problem, sizeof problem, "logging in did not end within %g s", seconds);
        fail(s, "ssh.timeout", problem,
             "an agent may wait for a confirmation, or the server for its user directory");
    }
}

void connect_cleanup(ssh_session *s) {
    if (s->resolution)
        resolve_give_up(s->resolution);
    s->resolution = NULL;
}
