/* Sessions and their operations; see session.h. */
#include "ssh/session.h"

#include "task/handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_UNANSWERED 3 /* signs of life asked for without hearing a byte: the peer is gone */

#define SHORTEST_HOLD 10 /* ms */
#define LONGEST_HOLD 250
#define MOST_REFUSALS 20 /* in a row without a channel of ours */

static ssh_session *open_sessions;

/* ---- life ---- */

static void free_list(char **list) {
    for (char **text = list; text && *text; text++)
        free(*text);
    free(list);
}

static void target_free(ssh_target *target) {
    free(target->key);
    free(target->label);
    free(target->user);
    free(target->address);
    free(target->host_key_name);
    free(target->agent);
    free_list(target->known_hosts);
    free_list(target->identities);
    memset(target, 0, sizeof *target);
}

ssh_session *session_ref(ssh_session *s) {
    s->references++;
    return s;
}

void session_unref(ssh_session *s) {
    if (--s->references > 0)
        return;
    failure_free(&s->failure);
    target_free(&s->target);
    free(s);
}

bool session_is_broken(const ssh_session *s) {
    return s->failure.code != NULL;
}

/* Asks the peer for a sign of life. libssh2 does so at most every other second. */
static void ask_for_life(ssh_session *s) {
    int unused;
    size_t before = s->out.length;
    libssh2_keepalive_send(s->ssh2, &unused);
    s->unanswered += s->out.length > before;
}

/* While connecting the clock ends a phase; afterwards it ticks to see whether the peer is still there. */
static void on_timer(uv_timer_t *timer) {
    ssh_session *s = timer->data;
    if (s->state == SESSION_READY && transport_has_news(s))
        s->unanswered = 0;
    if (s->state < SESSION_READY) {
        connect_timed_out(s);
    } else if (s->unanswered >= MOST_UNANSWERED) {
        failure_set(&s->failure, "ssh.closed", "%s has not answered for %d s", s->target.label,
                    (int)(s->target.keepalive * MOST_UNANSWERED / 1000));
        failure_add(&s->failure, "hint", "the host or the network in between is down");
    } else {
        ask_for_life(s);
    }
    session_wake(s);
}

void session_begin_phase(ssh_session *s, session_state state) {
    s->state = state;
    uint64_t period = state == SESSION_READY ? s->target.keepalive : s->target.phase_timeout;
    uint64_t repeat = state == SESSION_READY ? period : 0;
    uv_update_time(task_loop());
    if (period)
        uv_timer_start(s->timer, on_timer, period, repeat);
    else
        uv_timer_stop(s->timer);
}

ssh_session *session_for(ssh_target *target, ssh_session *via) {
    for (ssh_session *s = open_sessions; s; s = s->next) {
        if (strcmp(s->target.key, target->key) == 0 && !session_is_broken(s)) {
            target_free(target);
            return session_ref(s);
        }
    }
    ssh_session *s = calloc(1, sizeof *s);
    if (!s || !(s->timer = malloc(sizeof *s->timer)))
        abort();
    s->target = *target;
    memset(target, 0, sizeof *target);
    s->fd = -1;
    s->via = via ? session_ref(via) : NULL;
    s->references = 2; /* the list's and the caller's */
    s->next = open_sessions;
    open_sessions = s;
    uv_timer_init(task_loop(), s->timer);
    s->timer->data = s;
    uv_unref((uv_handle_t *)s->timer);
    connect_begin(s);
    return s;
}

static void unlink_session(ssh_session *s) {
    for (ssh_session **link = &open_sessions; *link; link = &(*link)->next) {
        if (*link == s) {
            *link = s->next;
            return;
        }
    }
}

/* ---- operations ---- */

void operation_begin(ssh_operation *op, ssh_session *s) {
    op->session = session_ref(s);
    op->references++;
    ssh_operation **last = &s->operations;
    while (*last)
        last = &(*last)->next;
    *last = op;
}

void operation_settle(ssh_operation *op) {
    if (op->settled)
        return;
    op->settled = true;
    if (op->waiter)
        wait_done(op->waiter);
}

void operation_unref(ssh_operation *op) {
    if (--op->references > 0)
        return;
    op->free(op);
    failure_free(&op->failure);
    if (op->session)
        session_unref(op->session);
    free(op);
}

void operation_abandon(ssh_operation *op) {
    op->abandoned = true;
    op->waiter = NULL;
    if (!op->settled && op->session) /* else it never began */
        session_wake(op->session);
}

static void end_operation(ssh_operation *op) {
    ssh_session *s = op->session;
    if (s->opener == op)
        s->opener = NULL;
    op->next = NULL;
    operation_settle(op);
    operation_unref(op);
}

static void step_operations(ssh_session *s) {
    for (ssh_operation **link = &s->operations; *link && !session_is_broken(s);) {
        ssh_operation *op = *link;
        if (op->step(op)) {
            *link = op->next;
            end_operation(op);
        } else {
            link = &op->next;
        }
    }
}

static bool is_wanted(const ssh_session *s) {
    for (const ssh_operation *op = s->operations; op; op = op->next)
        if (!op->abandoned)
            return true;
    return false;
}

/* ---- waking ---- */

void session_pump(ssh_session *s) {
    if (s->pumping || s->state == SESSION_CLOSED) {
        s->again = true;
        return;
    }
    session_ref(s);
    s->pumping = true;
    uint64_t received;
    do {
        s->again = false;
        received = s->received;
        if (s->state < SESSION_READY)
            connect_step(s);
        step_operations(s);
        transport_flush(s);
    } while ((s->again || s->received != received) && !session_is_broken(s));
    s->pumping = false;
    if (session_is_broken(s))
        session_close(s, s->failure.code, NULL);
    else if (s->state < SESSION_READY && !is_wanted(s))
        session_close(s, "ssh.closed", "nobody waits for this connection any more");
    else
        transport_update(s);
    session_unref(s);
}

void session_wake(ssh_session *s) {
    while (s->via && s->via->state != SESSION_CLOSED)
        s = s->via;
    session_pump(s);
}

const char *session_last_error(ssh_session *s) {
    char *text = NULL;
    libssh2_session_last_error(s->ssh2, &text, NULL, 0);
    return text ? text : "unknown error";
}

bool session_note_error(ssh_session *s, int rc, const char *doing) {
    switch (rc) {
    case LIBSSH2_ERROR_CHANNEL_FAILURE:
    case LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED:
    case LIBSSH2_ERROR_CHANNEL_CLOSED:
    case LIBSSH2_ERROR_CHANNEL_EOF_SENT:
    case LIBSSH2_ERROR_CHANNEL_UNKNOWN:
    case LIBSSH2_ERROR_REQUEST_DENIED:
        if (!session_is_broken(s))
            return false;
        break;
    default:
        break;
    }
    if (s->via && session_is_broken(s->via))
        failure_set(&s->failure, "ssh.closed", "the jump host's connection ended: %s",
                    failure_text(&s->via->failure, "message"));
    else if (*s->goodbye)
        failure_set(&s->failure, "ssh.closed", "%s ended the connection %s: %s", s->target.label, doing,
                    s->goodbye);
    else if (rc == LIBSSH2_ERROR_SOCKET_RECV || rc == LIBSSH2_ERROR_SOCKET_DISCONNECT ||
             rc == LIBSSH2_ERROR_SOCKET_SEND)
        failure_set(&s->failure, "ssh.closed", "%s closed the connection %s", s->target.label, doing);
    else
        failure_set(&s->failure, "ssh.closed", "the connection to %s broke %s: %s", s->target.label, doing,
                    session_last_error(s));
    return true;
}

/* ---- the end ---- */

static void fail_operations(ssh_session *s) {
    while (s->operations) {
        ssh_operation *op = s->operations;
        s->operations = op->next;
        end_operation(op);
    }
}

void session_close(ssh_session *s, const char *code, const char *reason) {
    if (s->state == SESSION_CLOSED)
        return;
    session_ref(s);
    if (!session_is_broken(s) && s->state == SESSION_READY && !(s->via && session_is_broken(s->via))) {
        libssh2_session_disconnect(s->ssh2, "done");
        transport_flush(s);
    }
    failure_set(&s->failure, code, "%s: %s", s->target.label, reason ? reason : "closed");
    connect_cleanup(s);
    login_free(s);
    s->state = SESSION_CLOSED;
    fail_operations(s);
    transport_close(s);
    handle_discard(s->timer);
    handle_discard(s->hold_timer);
    s->hold_timer = NULL;
    unlink_session(s);
    session_unref(s); /* the list's */
    if (s->via) {
        ssh_session *via = s->via;
        s->via_channel = NULL;
        session_wake(via); /* the tunnel closes its channel */
        s->via = NULL;
        session_unref(via);
    }
    session_unref(s);
}

void sessions_close_all(void) {
    /* A session that goes through another was opened after it, and is met first. */
    while (open_sessions)
        session_close(open_sessions, "ssh.closed", "hostler ends");
}

/* ---- channels ---- */

static void on_hold_over(uv_timer_t *timer) {
    ssh_session *s = timer->data;
    s->held = false;
    session_wake(s);
}

/* The server has as many channels as it allows (sshd's MaxSessions), and counts those too that have just
 * ended. True when it is worth trying again in a while. */
static bool hold_channels(ssh_session *s) {
    if (!s->has_opened || (s->channels == 0 && s->refusals >= MOST_REFUSALS))
        return false;
    if (!s->hold_timer) {
        s->hold_timer = malloc(sizeof *s->hold_timer);
        if (!s->hold_timer)
            abort();
        uv_timer_init(task_loop(), s->hold_timer);
        s->hold_timer->data = s;
        uv_unref((uv_handle_t *)s->hold_timer);
    }
    uint64_t pause = SHORTEST_HOLD * (uint64_t)++s->refusals;
    s->held = true;
    uv_timer_start(s->hold_timer, on_hold_over, pause < LONGEST_HOLD ? pause : LONGEST_HOLD, 0);
    return true;
}

LIBSSH2_CHANNEL *operation_open_channel(ssh_operation *op, const char *type, const ssh_buffer *message,
                                        int *rc) {
    ssh_session *s = op->session;
    *rc = LIBSSH2_ERROR_EAGAIN;
    if (s->opener != op && (s->opener || s->held))
        return NULL;
    s->opener = op;
    LIBSSH2_CHANNEL *channel = libssh2_channel_open_ex(
        s->ssh2, type, (unsigned)strlen(type), LIBSSH2_CHANNEL_WINDOW_DEFAULT, LIBSSH2_CHANNEL_PACKET_DEFAULT,
        message ? message->data : NULL, message ? (unsigned)message->length : 0);
    if (!channel && (*rc = libssh2_session_last_errno(s->ssh2)) == LIBSSH2_ERROR_EAGAIN)
        return NULL;
    s->opener = NULL;
    s->again = true; /* the next one may open */
    if (channel) {
        op->channel_number = s->confirmed_channel;
        s->channels++;
        s->refusals = 0;
        s->has_opened = true;
    } else if (*rc == LIBSSH2_ERROR_CHANNEL_FAILURE && !message && hold_channels(s)) {
        *rc = LIBSSH2_ERROR_EAGAIN;
    }
    return channel;
}

bool operation_close_channel(ssh_operation *op, LIBSSH2_CHANNEL **channel) {
    if (!*channel)
        return true;
    if (libssh2_channel_free(*channel) == LIBSSH2_ERROR_EAGAIN)
        return false;
    *channel = NULL;
    op->session->channels--;
    op->session->again = true;
    return true;
}
