/* How a connection comes up: resolve the name, dial its addresses in turn, shake hands, check the host key,
 * log in; see connect.h. Each phase has the same time limit. */
#include "ssh/connect.h"

#include "base/scrub.h"
#include "ssh/algorithms.h"
#include "ssh/host_key.h"
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
#include <sys/resource.h>
#include <unistd.h>

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

/* Leaves out the addresses that must not be dialled. */
static void keep_family(ssh_session *s) {
    int kept = 0;
    for (int i = 0; i < s->addresses.count; i++)
        if (s->target.family == AF_UNSPEC || s->addresses.list[i].any.sa_family == s->target.family)
            s->addresses.list[kept++] = s->addresses.list[i];
    s->addresses.count = kept;
}

static void dial_family(ssh_session *s) {
    char problem[256];
    keep_family(s);
    if (s->addresses.count > 0) {
        dial_next(s);
        return;
    }
    snprintf(problem, sizeof problem, "'%s' has no address of IPv%c", s->target.address,
             s->target.family == AF_INET6 ? '6' : '4');
    fail(s, "ssh.resolve", problem, "AddressFamily in the OpenSSH configuration allows no other");
}

static void on_resolved(void *data, const resolve_answer *answer) {
    ssh_session *s = data;
    s->resolution = NULL;
    s->addresses = *answer;
    if (answer->count > 0)
        dial_family(s);
    else
        fail_to_resolve(s, answer);
    session_wake(s);
}

void connect_begin(ssh_session *s) {
    if (s->via && (s->via->state == SESSION_CLOSED || session_is_broken(s->via))) {
        s->state = SESSION_DIALING;
        fail(s, "ssh.closed", "the connection to the jump host is closed",
             "try again: it is then opened anew");
    } else if (s->via) {
        s->state = SESSION_DIALING; /* its clock starts when the jump host is ready */
        tunnel_begin(s);
    } else if (resolve_number(s->target.address, &s->addresses)) {
        dial_family(s);
    } else {
        s->state = SESSION_RESOLVING;
        s->resolution = resolve_begin(s->target.address, s->target.phase_timeout, on_resolved, s);
    }
}

/* ---- dialling ---- */

static void fail_for_descriptors(ssh_session *s) {
    struct rlimit limit = {.rlim_cur = 0};
    getrlimit(RLIMIT_NOFILE, &limit);
    failure_set(&s->failure, "ssh.limit",
                "%s: cannot connect: this process may have %ju files and connections open at once, and all "
                "are in use",
                s->target.label, (uintmax_t)limit.rlim_cur);
    failure_add(&s->failure, "hint",
                "work on fewer hosts at once (parallel = ...), or raise the limit first: ulimit -n");
}

static void fail_to_dial(ssh_session *s) {
    char problem[512];
    const char *from = s->target.bind_address;
    if (s->dial_error == EMFILE) {
        fail_for_descriptors(s);
        return;
    }
    scrub_format(problem, sizeof problem, "cannot connect to %s port %d%s%s: %s", s->dialled, s->target.port,
                 from ? " from " : "", from ? from : "", strerror(s->dial_error));
    if (s->dial_error == ECONNREFUSED)
        fail(s, "ssh.refused", problem,
             "the host is up, but no SSH server listens there: check the port, or sshd on the host");
    else
        fail(s, "ssh.unreachable", problem,
             "check that the host is up and that the network and firewalls let you through");
}

/* Has the socket dial from the address that the target names, if any. */
static bool bind_socket(const ssh_session *s, int fd, sa_family_t family) {
    resolve_answer from;
    if (!s->target.bind_address)
        return true;
    if (!resolve_number(s->target.bind_address, &from) || from.list[0].any.sa_family != family) {
        errno = EAFNOSUPPORT;
        return false;
    }
    socklen_t size = resolve_set_port(&from.list[0], 0);
    return bind(fd, &from.list[0].any, size) == 0;
}

/* Descriptors are given out from the lowest on: a high one says that few are left, and other parts of the
 * process need some as well. */
static bool is_scarce(int fd) {
    struct rlimit limit;
    if (fd < 0)
        return errno == EMFILE || errno == ENFILE;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)fd >= limit.rlim_cur - limit.rlim_cur / 4;
}

/* Opens a socket, for which idle sessions give way. -1 with errno when that is not enough. */
static int open_socket(const ssh_session *s, int family) {
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    while (is_scarce(fd) && s->make_room()) {
        if (fd >= 0)
            close(fd);
        fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    }
    return fd;
}

static bool dial(ssh_session *s, resolve_address *address) {
    socklen_t size = resolve_set_port(address, s->target.port);
    int fd = open_socket(s, address->any.sa_family);
    resolve_show(address, s->dialled);
    if (fd < 0) {
        s->dial_error = errno;
        return false;
    }
    /* Without it every request waits for a delayed acknowledgement. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (!bind_socket(s, fd, address->any.sa_family) ||
        (connect(fd, &address->any, size) && errno != EINPROGRESS)) {
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
        fail(s, "ssh.protocol", problem, NULL);
        if (rc == LIBSSH2_ERROR_KEX_FAILURE || rc == LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE)
            failure_add(
                &s->failure, "hint",
                "client and server may have no algorithm in common; `ssh -v` shows what the server has. "
                "libssh2 %s is used here: up to 1.10 it knows no ETM MACs, no AES-GCM or ChaCha20, and RSA "
                "host keys only by SHA-1 (an ed25519 host key helps: ssh-keygen -A on the host)",
                libssh2_version(0));
    }
}

static void shake_hands(ssh_session *s) {
    if (!s->ssh2) {
        if (!transport_attach(s)) {
            fail(s, "ssh.protocol", "libssh2 cannot start", NULL);
            return;
        }
        algorithms_prepare(s);
        host_key_prepare(s);
        if (session_is_broken(s))
            return;
    }
    int rc = libssh2_session_handshake(s->ssh2, s->fd >= 0 ? s->fd : 0);
    if (rc == LIBSSH2_ERROR_EAGAIN)
        return;
    if (rc)
        fail_handshake(s, rc);
    else
        host_key_check(s);
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
