/* What is below libssh2: a TCP socket, or a channel of the jump host; see transport.h. */
#include "ssh/transport.h"

#include "base/scrub.h"
#include "ssh/overhear.h"

#include "task/handle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_PER_TURN (1024 * 1024) /* bytes */

static void note_received(ssh_session *s, const char *bytes, size_t length) {
    s->received += length;
    s->unanswered = 0;
    if (s->state > SESSION_HANDSHAKE)
        return;
    size_t room = sizeof s->greeting - 1 - s->greeting_length;
    size_t kept = length < room ? length : room;
    memcpy(s->greeting + s->greeting_length, bytes, kept);
    s->greeting_length += kept;
}

/* What is left after a turn's share is for the next turn of the loop: others wait as well. */
static ssize_t receive_from_socket(ssh_session *s, void *buffer, size_t length) {
    if (s->turn >= MOST_PER_TURN) {
        s->drained = true;
        return -EAGAIN;
    }
    ssize_t count = recv(s->fd, buffer, length, MSG_DONTWAIT);
    if (count < 0) {
        s->drained = errno == EAGAIN;
        return errno == EINTR ? -EAGAIN : -errno;
    }
    s->turn += (size_t)count;
    s->drained = (size_t)count < length;
    return count;
}

static ssize_t receive_from_channel(ssh_session *s, void *buffer, size_t length) {
    ssize_t count = libssh2_channel_read(s->via_channel, buffer, length);
    if (count == LIBSSH2_ERROR_EAGAIN || (count == 0 && !libssh2_channel_eof(s->via_channel))) {
        s->drained = true;
        return -EAGAIN;
    }
    if (count < 0)
        session_note_error(s->via, (int)count, "while it carried another one");
    return count < 0 ? -ECONNRESET : count;
}

static ssize_t on_receive(libssh2_socket_t socket, void *buffer, size_t length, int flags, void **abstract) {
    ssh_session *s = *abstract;
    (void)socket, (void)flags;
    if (session_is_broken(s) || s->state == SESSION_CLOSED)
        return -ECONNRESET;
    if (s->drained)
        return -EAGAIN;
    ssize_t count = s->via ? receive_from_channel(s, buffer, length) : receive_from_socket(s, buffer, length);
    if (count > 0)
        note_received(s, buffer, (size_t)count);
    else if (count != -EAGAIN)
        s->hung_up = true;
    return count;
}

static ssize_t on_send(libssh2_socket_t socket, const void *data, size_t length, int flags, void **abstract) {
    ssh_session *s = *abstract;
    (void)socket, (void)flags;
    if (session_is_broken(s) || s->state == SESSION_CLOSED)
        return -EPIPE;
    buffer_add(&s->out, data, length);
    return (ssize_t)length;
}

static void on_disconnect(LIBSSH2_SESSION *ssh2, int reason, const char *message, int message_length,
                          const char *language, int language_length, void **abstract) {
    ssh_session *s = *abstract;
    (void)ssh2, (void)reason, (void)language, (void)language_length;
    if (message_length > 0)
        scrub_format(s->goodbye, sizeof s->goodbye, "%.*s", message_length, message);
}

bool transport_attach(ssh_session *s) {
    static bool initialized;
    if (!initialized && libssh2_init(0))
        return false;
    initialized = true;
    s->ssh2 = overhear_new(s);
    if (!s->ssh2)
        return false;
    libssh2_session_set_blocking(s->ssh2, 0);
    libssh2_session_callback_set(s->ssh2, LIBSSH2_CALLBACK_RECV, (void *)on_receive);
    libssh2_session_callback_set(s->ssh2, LIBSSH2_CALLBACK_SEND, (void *)on_send);
    libssh2_session_callback_set(s->ssh2, LIBSSH2_CALLBACK_DISCONNECT, (void *)on_disconnect);
    return true;
}

static ssize_t send_some(ssh_session *s) {
    if (!s->via)
        return send(s->fd, s->out.data, s->out.length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (s->via->out.length > HIGH_WATER) {
        errno = EAGAIN;
        return -1;
    }
    ssize_t count = libssh2_channel_write(s->via_channel, s->out.data, s->out.length);
    errno = count == LIBSSH2_ERROR_EAGAIN ? EAGAIN : EPIPE;
    return count;
}

void transport_flush(ssh_session *s) {
    while (s->out.length > 0 && (s->via ? s->via_channel != NULL : s->fd >= 0)) {
        ssize_t count = send_some(s);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno != EAGAIN)
            failure_set(&s->failure, "ssh.closed", "the connection to %s broke: %s", s->target.label,
                        strerror(errno));
        if (count <= 0)
            return;
        buffer_drop(&s->out, (size_t)count);
        s->again = true; /* who waited for room may go on */
    }
    if (s->out.length == 0)
        buffer_free(&s->out);
}

static void on_ready(uv_poll_t *poll, int status, int events) {
    ssh_session *s = session_ref(poll->data);
    (void)status; /* the socket itself says what is wrong with it */
    s->drained = false;
    s->turn = 0;
    if (s->state == SESSION_DIALING)
        s->dial_ended = true;
    session_wake(s);
    if (events & UV_DISCONNECT && s->state == SESSION_READY && !s->drained) {
        failure_set(&s->failure, "ssh.closed", "%s closed the connection", s->target.label);
        session_wake(s);
    }
    session_unref(s);
}

static void drop_socket(ssh_session *s) {
    handle_discard(s->poll);
    if (s->fd >= 0)
        close(s->fd);
    s->poll = NULL;
    s->fd = -1;
}

bool transport_watch(ssh_session *s, int fd) {
    drop_socket(s);
    s->poll = malloc(sizeof *s->poll);
    if (!s->poll)
        abort();
    if (uv_poll_init_socket(task_loop(), s->poll, fd)) {
        free(s->poll);
        s->poll = NULL;
        return false;
    }
    s->fd = fd;
    s->watched = 0;
    s->poll->data = s;
    transport_update(s);
    return true;
}

/* Arrivals are watched for only while somebody reads them, else the loop would turn without end. A session
 * that does nothing keeps no loop alive, but notices that its peer went whenever the loop runs. */
void transport_update(ssh_session *s) {
    if (!s->poll)
        return;
    int events = s->state == SESSION_DIALING ? UV_WRITABLE : s->drained ? UV_READABLE : UV_DISCONNECT;
    if (s->out.length > 0)
        events |= UV_WRITABLE;
    if (events != s->watched) /* starting costs system calls, also when nothing changes */
        uv_poll_start(s->poll, events, on_ready);
    s->watched = events;
    if (s->state < SESSION_READY || s->operations)
        uv_ref((uv_handle_t *)s->poll);
    else
        uv_unref((uv_handle_t *)s->poll);
}

bool transport_has_news(ssh_session *s) {
    int unread = 0;
    bool news = s->fd >= 0 && ioctl(s->fd, FIONREAD, &unread) == 0 && unread != s->unread;
    s->unread = unread;
    return news;
}

void transport_close(ssh_session *s) {
    if (s->ssh2)
        libssh2_session_free(s->ssh2);
    s->ssh2 = NULL;
    buffer_free(&s->out);
    drop_socket(s);
}
