/* A jump host's channel as the transport of another session; see tunnel.h.
 *
 * The operation belongs to the jump host's session. Each time that session wakes, the operation lets the
 * inner one go on, which reads from and writes to the channel. */
#include "ssh/tunnel.h"

#include "ssh/operation.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    ssh_operation operation;
    ssh_session *inner;
    LIBSSH2_CHANNEL *channel;
    ssh_buffer request; /* direct-tcpip's part of the open message, RFC 4254 section 7.2 */
} tunnel;

static bool open_channel(tunnel *t) {
    int rc;
    ssh_session *inner = t->inner, *outer = t->operation.session;
    if (outer->state != SESSION_READY)
        return false;
    if (!uv_is_active((uv_handle_t *)inner->timer))
        session_begin_phase(inner, SESSION_DIALING);
    t->channel = operation_open_channel(&t->operation, "direct-tcpip", &t->request, &rc);
    if (t->channel) {
        inner->via_channel = t->channel;
        snprintf(inner->dialled, sizeof inner->dialled, "via %s", outer->target.label);
        session_begin_phase(inner, SESSION_HANDSHAKE);
        return true;
    }
    if (rc != LIBSSH2_ERROR_EAGAIN && !session_note_error(outer, rc, "while opening a tunnel")) {
        failure_set(&inner->failure, "ssh.unreachable", "%s cannot reach %s port %d", outer->target.label,
                    inner->target.address, inner->target.port);
        failure_add(&inner->failure, "hint",
                    "the jump host refused or could not connect; check the name, the port and "
                    "AllowTcpForwarding there");
    }
    return false;
}

static bool step(ssh_operation *op) {
    tunnel *t = (tunnel *)op;
    if (t->inner->state != SESSION_CLOSED) {
        if (!t->channel)
            open_channel(t);
        t->inner->drained = false;
        t->inner->take_turn(t->inner);
    }
    if (t->inner->state != SESSION_CLOSED)
        return false;
    if (!t->channel && op->session->opener == op)
        open_channel(t); /* libssh2 must finish what it began */
    return !(!t->channel && op->session->opener == op) && operation_close_channel(op, &t->channel);
}

/* The tunnel has ended, or the jump host is gone, and the inner session with it. */
static void free_tunnel(ssh_operation *op) {
    tunnel *t = (tunnel *)op;
    const char *reason = failure_text(&op->session->failure, "message");
    failure_set(&t->inner->failure, "ssh.closed", "%s: %s", t->inner->target.label,
                *reason ? reason : "the jump host's connection ended");
    t->inner->via_channel = NULL;
    t->inner->take_turn(t->inner); /* its last */
    buffer_free(&t->request);
    session_unref(t->inner);
}

void tunnel_begin(ssh_session *inner) {
    tunnel *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    t->operation.step = step;
    t->operation.free = free_tunnel;
    t->inner = session_ref(inner);
    buffer_add_string(&t->request, inner->target.address, strlen(inner->target.address));
    buffer_add_u32(&t->request, (uint32_t)inner->target.port);
    buffer_add_string(&t->request, "127.0.0.1", 9);
    buffer_add_u32(&t->request, 0);
    inner->via_tunnel = &t->operation;
    operation_begin(&t->operation, inner->via);
}
