/* A file's way from the host; see download.h. */
#define _GNU_SOURCE /* asprintf, mkostemp */
#include "ssh/download.h"

#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_MODE 0644

/* ---- which file it is ---- */

static bool ask_kind(ssh_copy *c) {
    sftp_begin(&c->link, SFTP_STAT);
    sftp_add_text(&c->link, c->remote);
    sftp_end(&c->link);
    return false;
}

/* Looked at before it is opened: the server would wait for a FIFO's other end. */
static void take_kind(ssh_copy *c, sftp_reply *reply) {
    c->remote_stat = sftp_take_attributes(&reply->body);
    if (!copy_expects(c, reply, SFTP_ATTRIBUTES))
        return;
    if (copy_is_file(c) && c->limit && c->remote_stat.size > c->limit)
        copy_fail_remote(c, "it is larger than the limit");
    c->endless = c->remote_stat.size == 0; /* such as those in /proc, or of a server that does not tell */
}

static bool ask_open(ssh_copy *c) {
    sftp_begin(&c->link, SFTP_OPEN);
    sftp_add_text(&c->link, c->remote);
    buffer_add_u32(&c->link.out, SFTP_FOR_READING);
    buffer_add_u32(&c->link.out, 0); /* no attributes */
    sftp_end(&c->link);
    return false;
}

/* ---- its content ---- */

static void request(ssh_copy *c, copy_slot *slot) {
    copy_begin_request(c, SFTP_READ);
    sftp_add_u64(&c->link, slot->offset);
    buffer_add_u32(&c->link.out, slot->length);
    slot->id = sftp_end(&c->link);
}

/* The slot of a request that is on its way, or a free one for id 0. */
static copy_slot *find_slot(ssh_copy *c, uint32_t id) {
    for (int i = 0; i < MOST_REQUESTS; i++)
        if (id ? c->slots[i].length > 0 && c->slots[i].id == id : c->slots[i].length == 0)
            return &c->slots[i];
    return NULL;
}

/* Where no size is known the first answer leads to the next question. */
static bool ask_read(ssh_copy *c) {
    uint64_t left = c->endless ? SFTP_CHUNK : c->remote_stat.size - c->offset;
    copy_slot *slot = find_slot(c, 0);
    if (left == 0 || !slot)
        return left > 0;
    slot->offset = c->offset;
    slot->length = left < SFTP_CHUNK ? (uint32_t)left : SFTP_CHUNK;
    c->offset += slot->length;
    request(c, slot);
    return !c->endless && left > slot->length;
}

static int write_at(int fd, const unsigned char *bytes, size_t length, uint64_t offset) {
    while (length > 0) {
        ssize_t count = pwrite(fd, bytes, length, (off_t)offset);
        if (count < 0 && errno != EINTR)
            return errno;
        size_t done = count > 0 ? (size_t)count : 0;
        bytes += done;
        length -= done;
        offset += done;
    }
    return 0;
}

static void take_data(ssh_copy *c, sftp_reply *reply) {
    copy_slot *slot = find_slot(c, reply->id);
    bool ended = reply->type == SFTP_STATUS && reply->status == SFTP_END_OF_FILE;
    if (slot && ended && c->endless) {
        slot->length = 0;
        return;
    }
    size_t length;
    const unsigned char *bytes = wire_string(&reply->body, &length);
    if (ended)
        copy_fail_remote(c, "it changed while it was read");
    if (c->failed || !copy_expects(c, reply, SFTP_DATA))
        return;
    if (!slot || length == 0 || length > slot->length) {
        copy_fail_remote(c, "the SFTP server answered strangely");
        return;
    }
    int problem = write_at(c->fd, bytes, length, slot->offset);
    if (problem) {
        copy_fail_local(c, problem);
        return;
    }
    c->moved += length;
    slot->offset += length;
    slot->length = c->endless ? SFTP_CHUNK : slot->length - (uint32_t)length;
    if (c->limit && c->moved > c->limit)
        copy_fail_remote(c, "it is larger than the limit");
    else if (slot->length > 0 && !c->operation.abandoned)
        request(c, slot); /* the rest of what came short */
}

/* ---- making it the file ---- */

static void ignore(ssh_copy *c, sftp_reply *reply) {
    (void)c, (void)reply;
}

static bool ask_changed(ssh_copy *c) {
    copy_begin_request(c, SFTP_FSTAT);
    sftp_end(&c->link);
    return false;
}

/* One that only grew is taken as it was at the beginning. */
static void take_changed(ssh_copy *c, sftp_reply *reply) {
    if (reply->type == SFTP_STATUS && reply->status == SFTP_UNSUPPORTED)
        return; /* then nobody can tell */
    sftp_attributes now = sftp_take_attributes(&reply->body);
    if (!copy_expects(c, reply, SFTP_ATTRIBUTES))
        return;
    if (!c->endless && (now.size < c->remote_stat.size ||
                        (now.size == c->remote_stat.size && now.mtime != c->remote_stat.mtime)))
        copy_fail_remote(c, "it changed while it was read");
}

static bool ask_sync(ssh_copy *c) {
    if (fchmod(c->fd, (mode_t)c->mode))
        copy_fail_local(c, errno);
    else
        copy_begin_sync(c);
    return false;
}

static int replace(ssh_copy *c) {
    int fd = c->fd;
    c->fd = -1;
    if (close(fd) || rename(c->local_temporary, c->local_target))
        return errno;
    free(c->local_temporary);
    c->local_temporary = NULL;
    return files_sync_directory(c->local_target);
}

static void take_closed(ssh_copy *c, sftp_reply *reply) {
    (void)reply; /* all of it has been read */
    int problem = c->operation.abandoned ? 0 : replace(c);
    if (problem)
        copy_fail_local(c, problem);
}

static const copy_phase phases[] = {
    {ask_kind, take_kind}, {ask_open, copy_take_handle},  {ask_read, take_data}, {ask_changed, take_changed},
    {ask_sync, ignore},    {copy_ask_close, take_closed}, {NULL, NULL},
};

static const copy_phase tidying[] = {{copy_ask_close, ignore}, {NULL, NULL}};

/* ---- the file here ---- */

/* What is to be replaced: an existing file keeps its mode unless another is given, and a link stays one. */
static int look_here(ssh_copy *c) {
    c->local_target = realpath(c->local, NULL);
    if (!c->local_target) {
        c->local_target = strdup(c->local);
        c->mode = c->mode >= 0 ? c->mode : DEFAULT_MODE;
        return c->local_target ? 0 : ENOMEM;
    }
    if (stat(c->local_target, &c->local_stat))
        return errno;
    if (!S_ISREG(c->local_stat.st_mode))
        return files_judge(&c->local_stat) ? files_judge(&c->local_stat) : FILES_IS_DEVICE; /* /dev/null */
    c->mode = c->mode >= 0 ? c->mode : (int64_t)(c->local_stat.st_mode & 07777);
    return 0;
}

static bool prepare(ssh_copy *c) {
    int problem = look_here(c);
    if (!problem && asprintf(&c->local_temporary, "%s.XXXXXX", c->local_target) < 0)
        abort();
    if (!problem && (c->fd = mkostemp(c->local_temporary, O_CLOEXEC)) < 0) {
        problem = errno;
        free(c->local_temporary);
        c->local_temporary = NULL;
    }
    if (problem)
        copy_fail_local(c, problem);
    return !problem;
}

ssh_copy *download_new(const char *local, const char *remote) {
    static const copy_way way = {false, prepare, phases, tidying};
    return copy_new(&way, local, remote);
}
