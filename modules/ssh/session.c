/* A session's state; see session.h. */
#include "ssh/session.h"

#include <stdlib.h>
#include <string.h>

/* ---- life ---- */

ssh_session *session_new(ssh_target *target, ssh_session *via, void (*take_turn)(ssh_session *)) {
    ssh_session *s = calloc(1, sizeof *s);
    if (!s || !(s->timer = malloc(sizeof *s->timer)))
        abort();
    s->target = *target;
    memset(target, 0, sizeof *target);
    s->fd = -1;
    s->via = via ? session_ref(via) : NULL;
    s->references = 1;
    s->take_turn = take_turn;
    uv_timer_init(task_loop(), s->timer);
    s->timer->data = s;
    uv_unref((uv_handle_t *)s->timer);
    return s;
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

/* ---- turns ---- */

void session_wake(ssh_session *s) {
    while (s->via && s->via->state != SESSION_CLOSED)
        s = s->via;
    s->take_turn(s);
}

static void on_timer(uv_timer_t *timer) {
    ssh_session *s = timer->data;
    s->rang = true;
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

/* ---- failing ---- */

bool session_is_broken(const ssh_session *s) {
    return s->failure.code != NULL;
}

const char *session_last_error(ssh_session *s) {
    char *text = NULL;
    libssh2_session_last_error(s->ssh2, &text, NULL, 0);
    return text ? text : "unknown error";
}

/* Errors after which libssh2 and the server go on as before: a channel's, and what libssh2 refuses to send.
 */
static bool leaves_connection(int rc) {
    switch (rc) {
    case LIBSSH2_ERROR_CHANNEL_FAILURE:
    case LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED:
    case LIBSSH2_ERROR_CHANNEL_CLOSED:
    case LIBSSH2_ERROR_CHANNEL_EOF_SENT:
    case LIBSSH2_ERROR_CHANNEL_UNKNOWN:
    case LIBSSH2_ERROR_REQUEST_DENIED:
    case LIBSSH2_ERROR_INVAL: /* a packet that is too large for it */
    case LIBSSH2_ERROR_BAD_USE:
        return true;
    default:
        return false;
    }
}

bool session_note_error(ssh_session *s, int rc, const char *doing) {
    if (leaves_connection(rc) && !session_is_broken(s))
        return false;
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
