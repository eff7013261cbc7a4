/* Moving a file through its phases; see copy.h. */
#include "ssh/copy.h"

#include "base/files.h"
#include "task/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE 3000 /* ms for taking away what was made */

/* ---- failing ---- */

static void fail(ssh_copy *c, bool local, const char *reason) {
    const char *path = local ? c->local : c->remote;
    c->failed = true;
    failure_set(&c->operation.failure, "ssh.file", "cannot %s %s%s: %s",
                local == c->way->up ? "read" : "write", path, local ? " here" : "", reason);
    failure_add(&c->operation.failure, "path", "%s", path);
    failure_add(&c->operation.failure, "reason", "%s", reason);
}

void copy_fail_local(ssh_copy *c, int problem) {
    fail(c, true, problem == ECANCELED ? "it changed while it was read" : files_reason(problem));
    if (problem == ENOSPC || problem == EDQUOT)
        failure_add(&c->operation.failure, "hint", "nothing was changed; here: df -h %s", c->local);
}

void copy_fail_remote(ssh_copy *c, const char *reason) {
    fail(c, false, reason);
}

bool copy_expects(ssh_copy *c, const sftp_reply *reply, sftp_reply_type type) {
    if (reply->type == type && !reply->body.bad)
        return true;
    char text[SFTP_REASON_SIZE];
    copy_fail_remote(c, reply->status ? sftp_reason(reply, text) : "the SFTP server answered strangely");
    return false;
}

bool copy_expects_ok(ssh_copy *c, const sftp_reply *reply) {
    char text[SFTP_REASON_SIZE];
    return copy_expects(c, reply, SFTP_STATUS) &&
           (reply->status == SFTP_OK || (copy_fail_remote(c, sftp_reason(reply, text)), false));
}

/* ---- what both ways have in common ---- */

bool copy_is_file(ssh_copy *c) {
    if (!(c->remote_stat.known & SFTP_HAS_MODE) || S_ISREG(c->remote_stat.mode))
        return true;
    copy_fail_remote(c, S_ISDIR(c->remote_stat.mode) ? "Is a directory" : "it is no regular file");
    return false;
}

void copy_begin_request(ssh_copy *c, sftp_request_type type) {
    sftp_begin(&c->link, type);
    buffer_add_string(&c->link.out, c->handle.data, c->handle.length);
}

void copy_take_handle(ssh_copy *c, sftp_reply *reply) {
    size_t length;
    const unsigned char *handle = wire_string(&reply->body, &length);
    if (copy_expects(c, reply, SFTP_HANDLE))
        buffer_add(&c->handle, handle, length);
}

bool copy_ask_close(ssh_copy *c) {
    if (c->handle.length > 0) {
        copy_begin_request(c, SFTP_CLOSE);
        sftp_end(&c->link);
        buffer_free(&c->handle);
    }
    return false;
}

/* ---- the phases ---- */

static void end_phase(ssh_copy *c, bool stopped) {
    c->asked_all = false;
    if (stopped && c->tidying) {
        c->phase = c->tidying;
        c->tidying = NULL;
    } else {
        c->phase++;
    }
    if (c->phase->ask)
        return;
    c->done = !stopped;
    c->closing = true;
}

static void ask(ssh_copy *c) {
    while (!c->asked_all && c->link.outstanding < MOST_REQUESTS && !sftp_is_full(&c->link)) {
        if (!c->phase->ask(c))
            c->asked_all = true;
        if (!sftp_flush(&c->link))
            c->closing = true;
        if (c->closing || (c->failed && c->tidying))
            return;
    }
}

/* True when something came of it. */
static bool advance(ssh_copy *c) {
    sftp_reply reply;
    bool moved = false;
    if (!sftp_flush(&c->link))
        return c->closing = true;
    bool stopped = c->failed || c->operation.abandoned;
    if (stopped && c->tidying)
        c->asked_all = true;
    ask(c);
    while (!c->closing) {
        int got = sftp_next(&c->link, &reply);
        if (got < 0)
            c->closing = true;
        if (got <= 0)
            break;
        moved = true;
        c->phase->take(c, &reply);
    }
    stopped = c->failed || c->operation.abandoned;
    bool quiet = c->link.outstanding == 0 && !c->sync;
    if (!c->closing && (c->asked_all || (stopped && c->tidying)) && quiet) {
        end_phase(c, stopped);
        moved = true;
    }
    return moved || c->closing;
}

static bool open_link(ssh_copy *c) {
    int rc = sftp_open(&c->link);
    if (rc == LIBSSH2_ERROR_EAGAIN)
        return false;
    c->opened = rc == 0;
    c->closing = rc != 0;
    return true;
}

static bool step(ssh_operation *op) {
    ssh_copy *c = (ssh_copy *)op;
    if (op->session->state != SESSION_READY)
        return op->abandoned && op->session->opener != op;
    while (!c->closing) {
        if (op->abandoned && !c->opened && op->session->opener != op)
            c->closing = true;
        else if (!(c->opened ? advance(c) : open_link(c)))
            return false;
    }
    if (session_is_broken(op->session))
        return false; /* its end is ours */
    copy_leave_local(c);
    operation_settle(op);
    return operation_close_channel(op, &c->link.channel);
}

/* ---- the local file on its disk ---- */

/* It may outlive the copy: a thread cannot be stopped. */
struct copy_sync {
    uv_fs_t request;
    int fd;
    ssh_copy *copy;
};

static void on_synced(uv_fs_t *request) {
    copy_sync *sync = request->data;
    ssh_copy *c = sync->copy;
    int problem = request->result < 0 ? (int)-request->result : 0;
    uv_fs_req_cleanup(request);
    close(sync->fd);
    free(sync);
    if (!c)
        return;
    c->sync = NULL;
    if (problem && problem != EINVAL) /* not every file system can */
        copy_fail_local(c, problem);
    session_wake(c->operation.session);
}

void copy_begin_sync(ssh_copy *c) {
    copy_sync *sync = calloc(1, sizeof *sync);
    if (!sync)
        abort();
    sync->request.data = sync;
    sync->copy = c;
    sync->fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
    if (sync->fd < 0 || uv_fs_fsync(task_loop(), &sync->request, sync->fd, on_synced)) {
        copy_fail_local(c, sync->fd < 0 ? errno : ENOMEM);
        if (sync->fd >= 0)
            close(sync->fd);
        free(sync);
        return;
    }
    c->sync = sync;
}

/* ---- life ---- */

void copy_leave_local(ssh_copy *c) {
    if (c->fd >= 0)
        close(c->fd);
    if (c->local_temporary)
        unlink(c->local_temporary);
    free(c->local_temporary);
    c->local_temporary = NULL;
    c->fd = -1;
}

static void free_copy(ssh_operation *op) {
    ssh_copy *c = (ssh_copy *)op;
    handle_discard(c->patience);
    if (c->sync)
        c->sync->copy = NULL;
    copy_leave_local(c);
    free(c->local);
    free(c->remote);
    free(c->local_target);
    free(c->remote_target);
    free(c->remote_temporary);
    free(c->remote_aside);
    buffer_free(&c->handle);
    sftp_free(&c->link);
}

ssh_copy *copy_new(const copy_way *way, const char *local, const char *remote) {
    ssh_copy *c = calloc(1, sizeof *c);
    if (!c || !(c->local = strdup(local)) || !(c->remote = strdup(remote)))
        abort();
    c->operation.step = step;
    c->operation.free = free_copy;
    c->link.operation = &c->operation;
    c->fd = -1;
    c->way = way;
    c->phase = way->phases;
    c->tidying = way->tidying;
    return c;
}

void copy_begin(ssh_copy *c, ssh_session *s) {
    if (!c->way->prepare(c)) {
        c->operation.session = session_ref(s);
        operation_settle(&c->operation);
        return;
    }
    operation_begin(&c->operation, s);
    session_wake(s);
}

static void on_patience_over(uv_timer_t *timer) {
    operation_settle(timer->data);
}

void copy_cancel(ssh_copy *c) {
    c->operation.abandoned = true;
    c->patience = malloc(sizeof *c->patience);
    if (!c->patience)
        abort();
    uv_timer_init(task_loop(), c->patience);
    c->patience->data = &c->operation;
    uv_update_time(task_loop());
    uv_timer_start(c->patience, on_patience_over, PATIENCE, 0);
    session_wake(c->operation.session);
}
