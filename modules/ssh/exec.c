/* Running a command; see exec.h. */
#define _GNU_SOURCE /* memmem */
#include "ssh/exec.h"

#include "task/handle.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXEC_OPEN, EXEC_REQUEST, EXEC_TALK, EXEC_STATUS, EXEC_CLOSE };

#define CHUNK (64 * 1024)
#define MOST_BEFORE (64 * 1024) /* of output that comes before the command's own, over the limit */
#define BEGIN_SECONDS 60        /* so long may the login shell take before it begins */

static void fail(ssh_exec *e, int rc, const char *doing) {
    if (!session_note_error(e->operation.session, rc, doing))
        failure_set(&e->operation.failure, "ssh.channel", "%s failed %s: %s",
                    e->operation.session->target.label, doing, session_last_error(e->operation.session));
    e->phase = EXEC_CLOSE;
}

static bool open_channel(ssh_exec *e) {
    int rc;
    e->channel = operation_open_channel(&e->operation, "session", NULL, &rc);
    if (!e->channel && rc == LIBSSH2_ERROR_EAGAIN)
        return false;
    if (e->channel)
        e->phase = EXEC_REQUEST;
    else if (operation_explain_refusal(&e->operation, "ssh.channel", "the command cannot begin"))
        e->phase = EXEC_CLOSE;
    else
        fail(e, rc, "while opening a channel");
    return true;
}

static bool request(ssh_exec *e) {
    e->operation.unclear = true;
    int rc =
        libssh2_channel_process_startup(e->channel, "exec", 4, e->command.data, (unsigned)e->command.length);
    if (rc == LIBSSH2_ERROR_EAGAIN)
        return false;
    e->phase = EXEC_TALK;
    if (rc == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED || rc == LIBSSH2_ERROR_INVAL)
        e->operation.unclear = false;
    if (rc)
        fail(e, rc, "while starting a command");
    return true;
}

/* Feeds the command. When it stops reading, the rest is dropped: how it ended says more. */
static void write_input(ssh_exec *e) {
    const size_t all = e->input.length;
    while (e->sent < all && e->operation.session->out.length < HIGH_WATER) {
        size_t left = all - e->sent;
        ssize_t count =
            libssh2_channel_write(e->channel, e->input.data + e->sent, left < CHUNK ? left : CHUNK);
        if (count == LIBSSH2_ERROR_EAGAIN || count == 0)
            return;
        e->sent = count < 0 ? all : e->sent + (size_t)count;
    }
    if (e->sent == all && libssh2_channel_send_eof(e->channel) != LIBSSH2_ERROR_EAGAIN)
        e->sent = all + 1;
}

/* What was printed before the command began is not its output. */
static void drop_before(ssh_exec *e) {
    ssh_buffer *output = &e->streams[0];
    char *begun = memmem(output->data, output->length, e->begun.data, e->begun.length);
    if (!begun)
        return;
    e->has_begun = true;
    buffer_add(&e->before, output->data, (size_t)(begun - output->data));
    buffer_drop(output, (size_t)(begun - output->data) + e->begun.length);
}

/* Reads a stream dry. False on an error. */
static bool read_stream(ssh_exec *e, int number) {
    static char chunk[CHUNK];
    ssh_buffer *stream = &e->streams[number];
    for (;;) {
        ssize_t count = libssh2_channel_read_ex(e->channel, number, chunk, sizeof chunk);
        if (count == LIBSSH2_ERROR_EAGAIN || count == 0)
            return true;
        if (count < 0) {
            fail(e, (int)count, "while a command ran");
            return false;
        }
        buffer_add(stream, chunk, (size_t)count);
        if (!number && !e->has_begun)
            drop_before(e);
        if (stream->length <= e->limit + (number || e->has_begun ? 0 : MOST_BEFORE))
            continue;
        failure_set(&e->operation.failure, "ssh.output",
                    "the command wrote more than %zu bytes to its standard %s", e->limit,
                    number ? "error" : "output");
        failure_add(&e->operation.failure, "hint",
                    "let it write to a file on the host and download that, or pass a "
                    "higher limit (in bytes)");
        e->phase = EXEC_CLOSE;
        return false;
    }
}

/* The input is for the command: what the login shell reads before it begins, in a start-up file, would be
 * taken out of it, and perhaps be run. */
static bool may_feed(const ssh_exec *e) {
    return e->sent <= e->input.length && (e->has_begun || e->input.length == 0);
}

static bool talk(ssh_exec *e) {
    if (!read_stream(e, 0) || !read_stream(e, 1))
        return true;
    if (may_feed(e))
        write_input(e);
    if (!libssh2_channel_eof(e->channel))
        return false;
    e->phase = EXEC_STATUS;
    return true;
}

/* After the end of its output: the server tells how the command ended, then closes the channel. */
static bool take_status(ssh_exec *e) {
    int rc = libssh2_channel_wait_closed(e->channel);
    if (rc == LIBSSH2_ERROR_EAGAIN)
        return false;
    e->phase = EXEC_CLOSE;
    if (rc) {
        fail(e, rc, "while a command ran");
        return true;
    }
    char *name = NULL;
    size_t length = 0;
    libssh2_channel_get_exit_signal(e->channel, &name, &length, NULL, NULL, NULL, NULL);
    if (name) {
        e->signal = strndup(name, length);
        libssh2_free(e->operation.session->ssh2, name);
    }
    e->status = libssh2_channel_get_exit_status(e->channel);
    e->ended = e->signal || e->operation.has_status;
    if (!e->ended) {
        failure_set(&e->operation.failure, "ssh.closed",
                    "%s closed the channel without telling how the command ended",
                    e->operation.session->target.label);
        failure_add(
            &e->operation.failure, "hint",
            "it may have ended, or run on there; sshd does this to commands that are silent for longer than "
            "its ChannelTimeout");
    }
    return true;
}

static bool step(ssh_operation *op) {
    ssh_exec *e = (ssh_exec *)op;
    if (op->session->state != SESSION_READY)
        return op->abandoned && op->session->opener != op;
    for (;;) {
        if (op->abandoned && e->phase != EXEC_CLOSE && e->phase != EXEC_OPEN) {
            op->session->given_up = true;
            e->phase = EXEC_CLOSE;
        }
        if (op->abandoned && e->phase == EXEC_OPEN && op->session->opener != op)
            return true;
        bool moved = false;
        switch (e->phase) {
        case EXEC_OPEN:
            moved = open_channel(e);
            break;
        case EXEC_REQUEST:
            moved = request(e);
            break;
        case EXEC_TALK:
            moved = talk(e);
            break;
        case EXEC_STATUS:
            moved = take_status(e);
            break;
        default:
            if (session_is_broken(op->session))
                return false; /* its end is ours */
            operation_settle(op);
            return operation_close_channel(op, &e->channel);
        }
        if (!moved)
            return false;
    }
}

static void on_timeout(uv_timer_t *timer) {
    ssh_exec *e = timer->data;
    if (e->operation.settled)
        return;
    char problem[64];
    double seconds = (double)e->timeout / 1000;
    snprintf(problem, sizeof problem, "the command could not begin within %g s", seconds);
    if (e->phase != EXEC_OPEN || !operation_explain_refusal(&e->operation, "timeout", problem))
        failure_set(&e->operation.failure, "timeout", "the command did not end within %g s", seconds);
    operation_settle(&e->operation);
    e->operation.abandoned = true;
    session_wake(e->operation.session);
}

static void on_no_begin(uv_timer_t *timer) {
    ssh_exec *e = timer->data;
    if (e->operation.settled || e->has_begun)
        return;
    failure_set(&e->operation.failure, "ssh.shell",
                "the login shell had not begun with the command after %d s, and got no input until then",
                BEGIN_SECONDS);
    failure_add(
        &e->operation.failure, "hint",
        "a start-up file of the shell (.bashrc, .zshenv ...) may wait for input: let it ask only where there "
        "is a terminal");
    operation_settle(&e->operation);
    e->operation.abandoned = true;
    session_wake(e->operation.session);
}

static void free_exec(ssh_operation *op) {
    ssh_exec *e = (ssh_exec *)op;
    handle_discard(e->timer);
    handle_discard(e->begin_timer);
    if (e->input.data)
        sodium_memzero(e->input.data, e->input.capacity);
    buffer_free(&e->command);
    buffer_free(&e->begun);
    buffer_free(&e->before);
    buffer_free(&e->input);
    buffer_free(&e->streams[0]);
    buffer_free(&e->streams[1]);
    free(e->signal);
}

ssh_exec *exec_new(void) {
    ssh_exec *e = calloc(1, sizeof *e);
    if (!e)
        abort();
    e->operation.step = step;
    e->operation.free = free_exec;
    return e;
}

static uv_timer_t *start_timer(ssh_exec *e, uv_timer_cb on_end, uint64_t milliseconds) {
    uv_timer_t *timer = malloc(sizeof *timer);
    if (!timer)
        abort();
    uv_timer_init(task_loop(), timer);
    timer->data = e;
    uv_update_time(task_loop());
    uv_timer_start(timer, on_end, milliseconds, 0);
    return timer;
}

void exec_begin(ssh_exec *e, ssh_session *s) {
    if (e->timeout)
        e->timer = start_timer(e, on_timeout, e->timeout);
    if (e->input.length > 0)
        e->begin_timer = start_timer(e, on_no_begin, BEGIN_SECONDS * 1000);
    operation_begin(&e->operation, s);
    session_wake(s);
}
