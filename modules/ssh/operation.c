/* Operations and their channels; see operation.h. */
#include "ssh/operation.h"

#include <stdlib.h>
#include <string.h>

#define SHORTEST_HOLD 10 /* ms */
#define LONGEST_HOLD 250
#define MOST_REFUSALS 20 /* in a row without a channel of ours */

/* ---- life ---- */

static void note_use(ssh_session *s) {
    static uint64_t uses;
    s->last_used = ++uses;
}

void operation_begin(ssh_operation *op, ssh_session *s) {
    note_use(s);
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
    note_use(s);
    if (s->opener == op)
        s->opener = NULL;
    op->next = NULL;
    operation_settle(op);
    operation_unref(op);
}

void operations_step(ssh_session *s) {
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

bool operations_are_wanted(const ssh_session *s) {
    for (const ssh_operation *op = s->operations; op; op = op->next)
        if (!op->abandoned)
            return true;
    return false;
}

void operations_end(ssh_session *s) {
    while (s->operations) {
        ssh_operation *op = s->operations;
        s->operations = op->next;
        end_operation(op);
    }
}

/* ---- channels ---- */

static void on_hold_over(uv_timer_t *timer) {
    ssh_session *s = timer->data;
    s->held = false;
    session_wake(s);
}

/* The server has as many channels as it allows (sshd's MaxSessions), and counts those too that have just
 * ended, and commands that were given up and run on. True when it is worth trying again in a while. */
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

bool operation_explain_refusal(ssh_operation *op, const char *code, const char *problem) {
    const ssh_session *s = op->session;
    if (s->refusals == 0)
        return false;
    failure_set(&op->failure, code,
                "%s: %s: the server allows no more than %d at once on a connection (MaxSessions)%s",
                s->target.label, problem, s->most_channels,
                s->given_up ? ", and a command that was given up may still run there"
                            : ", and others have them");
    failure_add(
        &op->failure, "hint",
        s->given_up
            ? "end the command that timed out or was cancelled on the host (ps, kill), or raise MaxSessions "
              "in its sshd_config; host:close() gives a new connection, and leaves the command alone"
            : "raise MaxSessions in the host's sshd_config, or do less at once on this host");
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
        if (s->channels > s->most_channels)
            s->most_channels = s->channels;
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
