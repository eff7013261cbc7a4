/* The open sessions, their turns and their end; see sessions.h. */
#include "ssh/sessions.h"

#include "ssh/connect.h"
#include "ssh/login.h"
#include "ssh/operation.h"
#include "ssh/transport.h"
#include "task/handle.h"

#include <stdlib.h>
#include <string.h>

#define MOST_UNANSWERED 3 /* signs of life asked for without hearing a byte: the peer is gone */

static ssh_session *open_sessions;

/* ---- turns ---- */

/* Asks the peer for a sign of life. libssh2 does so at most every other second. */
static void ask_for_life(ssh_session *s) {
    int unused;
    size_t before = s->out.length;
    libssh2_keepalive_send(s->ssh2, &unused);
    s->unanswered += s->out.length > before;
}

/* While connecting the clock ends a phase; afterwards it ticks to see whether the peer is still there. */
static void hear_clock(ssh_session *s) {
    s->rang = false;
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
}

static void take_turn(ssh_session *s) {
    if (s->in_turn || s->state == SESSION_CLOSED) {
        s->again = true;
        return;
    }
    session_ref(s);
    s->in_turn = true;
    if (s->rang)
        hear_clock(s);
    uint64_t received;
    do {
        s->again = false;
        received = s->received;
        if (s->state < SESSION_READY)
            connect_step(s);
        operations_step(s);
        transport_flush(s);
    } while ((s->again || s->received != received) && !session_is_broken(s));
    s->in_turn = false;
    if (session_is_broken(s))
        sessions_close(s, s->failure.code, NULL);
    else if ((s->state < SESSION_READY || s->released) && !operations_are_wanted(s))
        sessions_close(s, "ssh.closed", "nobody waits for this connection any more");
    else
        transport_update(s);
    session_unref(s);
}

/* ---- giving back ---- */

void sessions_release(ssh_session *s) {
    s->released = true;
    session_wake(s);
}

static bool is_idle(const ssh_session *s) {
    return s->state == SESSION_READY && !s->in_turn && !s->forwards && !s->expected &&
           !operations_are_wanted(s);
}

/* Closes the one that has been idle for longest. Who has a handle of it connects again with the next use. */
static bool make_room(void) {
    ssh_session *oldest = NULL;
    for (ssh_session *s = open_sessions; s; s = s->next)
        if (!s->via && is_idle(s) && (!oldest || s->last_used < oldest->last_used))
            oldest = s;
    if (oldest)
        sessions_close(oldest, "ssh.closed", "closed to make room for others");
    return oldest != NULL;
}

/* ---- the beginning ---- */

ssh_session *sessions_find(ssh_target *target, ssh_session *via) {
    for (ssh_session *s = open_sessions; s; s = s->next) {
        if (strcmp(s->target.key, target->key) == 0 && !session_is_broken(s)) {
            target_free(target);
            s->released = false;
            return session_ref(s);
        }
    }
    ssh_session *s = session_new(target, via, take_turn);
    s->make_room = make_room;
    s->next = open_sessions;
    open_sessions = session_ref(s);
    connect_begin(s);
    return s;
}

/* ---- the end ---- */

static void unlink_session(ssh_session *s) {
    for (ssh_session **link = &open_sessions; *link; link = &(*link)->next) {
        if (*link == s) {
            *link = s->next;
            return;
        }
    }
}

void sessions_close(ssh_session *s, const char *code, const char *reason) {
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
    operations_end(s);
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
        sessions_close(open_sessions, "ssh.closed", "hostler ends");
}
