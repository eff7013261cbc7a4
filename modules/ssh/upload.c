/* A file's way to the host; see upload.h. */
#define _GNU_SOURCE /* asprintf */
#include "ssh/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONGEST_KEPT 200 /* bytes of its name in the temporary's */
#define DEFAULT_MODE 0644

/* ---- which file it is to become ---- */

static bool ask_target(ssh_copy *c) {
    sftp_begin(&c->link, SFTP_REALPATH);
    sftp_add_text(&c->link, c->remote);
    sftp_end(&c->link);
    return false;
}

/* ".name.0123456789abcdef" beside it. */
static char *name_temporary(const char *target) {
    unsigned char random[8];
    char hex[2 * sizeof random + 1], *made;
    const char *slash = strrchr(target, '/');
    randombytes_buf(random, sizeof random);
    sodium_bin2hex(hex, sizeof hex, random, sizeof random);
    int directory = slash ? (int)(slash + 1 - target) : 0;
    if (asprintf(&made, "%.*s.%.*s.%s", directory, target, LONGEST_KEPT, target + directory, hex) < 0)
        abort();
    return made;
}

static void take_target(ssh_copy *c, sftp_reply *reply) {
    size_t length;
    wire_u32(&reply->body); /* how many names: one */
    const unsigned char *path = wire_string(&reply->body, &length);
    if (!copy_expects(c, reply, SFTP_NAME))
        return;
    c->remote_target = strndup((const char *)path, length);
    if (!c->remote_target)
        abort();
    c->remote_temporary = name_temporary(c->remote_target);
}

static bool ask_old(ssh_copy *c) {
    sftp_begin(&c->link, SFTP_STAT);
    sftp_add_text(&c->link, c->remote_target);
    sftp_end(&c->link);
    return false;
}

static void take_old(ssh_copy *c, sftp_reply *reply) {
    if (reply->type == SFTP_STATUS && reply->status == SFTP_NO_SUCH_FILE)
        return;
    c->remote_stat = sftp_take_attributes(&reply->body);
    if (!copy_expects(c, reply, SFTP_ATTRIBUTES))
        return;
    c->remote_exists = true;
    if (S_ISDIR(c->remote_stat.mode))
        copy_fail_remote(c, "Is a directory");
    else if (!S_ISREG(c->remote_stat.mode))
        copy_fail_remote(c, "it is no regular file");
}

/* ---- its content ---- */

static bool ask_temporary(ssh_copy *c) {
    sftp_begin(&c->link, SFTP_OPEN);
    sftp_add_text(&c->link, c->remote_temporary);
    buffer_add_u32(&c->link.out, SFTP_FOR_WRITING | SFTP_CREATE | SFTP_EXCLUSIVE);
    buffer_add_u32(&c->link.out, SFTP_HAS_MODE);
    buffer_add_u32(&c->link.out, 0600);
    sftp_end(&c->link);
    c->temporary_is_there = true; /* it may be, from now on */
    return false;
}

static void take_temporary(ssh_copy *c, sftp_reply *reply) {
    if (reply->type == SFTP_STATUS && reply->status == SFTP_FAILURE)
        c->failed = c->no_room = true;
    else
        copy_take_handle(c, reply);
    c->temporary_is_there = c->handle.length > 0;
}

/* One that only grew is sent as it was at the beginning. */
static bool source_changed(const ssh_copy *c) {
    struct stat now;
    return fstat(c->fd, &now) != 0 || now.st_size < c->local_stat.st_size ||
           (now.st_size == c->local_stat.st_size && (now.st_mtim.tv_sec != c->local_stat.st_mtim.tv_sec ||
                                                     now.st_mtim.tv_nsec != c->local_stat.st_mtim.tv_nsec));
}

static bool ask_write(ssh_copy *c) {
    static char chunk[SFTP_CHUNK];
    uint64_t left = (uint64_t)c->local_stat.st_size - c->offset;
    if (left > 0) {
        ssize_t count = pread(c->fd, chunk, left < sizeof chunk ? left : sizeof chunk, (off_t)c->offset);
        if (count <= 0) {
            copy_fail_local(c, count < 0 ? errno : ECANCELED);
            return false;
        }
        copy_begin_request(c, SFTP_WRITE);
        sftp_add_u64(&c->link, c->offset);
        buffer_add_string(&c->link.out, chunk, (size_t)count);
        sftp_end(&c->link);
        c->offset += (uint64_t)count;
        left -= (uint64_t)count;
    }
    if (left == 0 && source_changed(c))
        copy_fail_local(c, ECANCELED);
    return left > 0;
}

static void take_written(ssh_copy *c, sftp_reply *reply) {
    if (reply->type == SFTP_STATUS && reply->status == SFTP_FAILURE)
        c->failed = c->no_room = true; /* perhaps: it is asked for when tidying */
    else if (copy_expects_ok(c, reply))
        c->moved++;
}

/* ---- making it the file ---- */

/* Ownership that the caller asked for must be; that of the old file is kept where one may. */
static bool ask_owner(ssh_copy *c) {
    bool wanted = c->uid != NO_OWNER || c->gid != NO_OWNER;
    if (!wanted && !(c->remote_exists && c->remote_stat.known & SFTP_HAS_OWNER))
        return false;
    copy_begin_request(c, SFTP_FSETSTAT);
    buffer_add_u32(&c->link.out, SFTP_HAS_OWNER);
    buffer_add_u32(&c->link.out, c->uid != NO_OWNER || !c->remote_exists ? c->uid : c->remote_stat.uid);
    buffer_add_u32(&c->link.out, c->gid != NO_OWNER || !c->remote_exists ? c->gid : c->remote_stat.gid);
    sftp_end(&c->link);
    return false;
}

static void take_owner(ssh_copy *c, sftp_reply *reply) {
    if (c->uid != NO_OWNER || c->gid != NO_OWNER)
        copy_expects_ok(c, reply);
}

static bool ask_mode(ssh_copy *c) {
    uint32_t mode = c->mode >= 0       ? (uint32_t)c->mode
                    : c->remote_exists ? c->remote_stat.mode & 07777
                                       : DEFAULT_MODE;
    copy_begin_request(c, SFTP_FSETSTAT);
    buffer_add_u32(&c->link.out, SFTP_HAS_MODE);
    buffer_add_u32(&c->link.out, mode);
    sftp_end(&c->link);
    return false;
}

static void take_ok(ssh_copy *c, sftp_reply *reply) {
    copy_expects_ok(c, reply);
}

static void ignore(ssh_copy *c, sftp_reply *reply) {
    (void)c, (void)reply;
}

static bool ask_sync(ssh_copy *c) {
    sftp_begin(&c->link, SFTP_EXTENDED);
    sftp_add_text(&c->link, "fsync@openssh.com");
    buffer_add_string(&c->link.out, c->handle.data, c->handle.length);
    sftp_end(&c->link);
    return false;
}

static bool ask_replace(ssh_copy *c) {
    c->operation.unclear = true;
    sftp_begin(&c->link, SFTP_EXTENDED);
    sftp_add_text(&c->link, "posix-rename@openssh.com");
    sftp_add_text(&c->link, c->remote_temporary);
    sftp_add_text(&c->link, c->remote_target);
    sftp_end(&c->link);
    return false;
}

static void take_replaced(ssh_copy *c, sftp_reply *reply) {
    c->operation.unclear = false;
    c->may_not_rename = reply->type == SFTP_STATUS && reply->status == SFTP_UNSUPPORTED;
    if (!c->may_not_rename && copy_expects_ok(c, reply))
        c->temporary_is_there = false;
}

/* A server without the extension renames only where there is no file yet. */
static bool ask_rename(ssh_copy *c) {
    if (!c->may_not_rename)
        return false;
    c->operation.unclear = true;
    sftp_begin(&c->link, SFTP_RENAME);
    sftp_add_text(&c->link, c->remote_temporary);
    sftp_add_text(&c->link, c->remote_target);
    sftp_end(&c->link);
    return false;
}

static void take_renamed(ssh_copy *c, sftp_reply *reply) {
    c->operation.unclear = false;
    if (copy_expects_ok(c, reply))
        c->temporary_is_there = false;
}

/* ---- when it failed ---- */

static bool ask_room(ssh_copy *c) {
    if (!c->no_room)
        return false;
    sftp_begin(&c->link, SFTP_EXTENDED);
    sftp_add_text(&c->link, "statvfs@openssh.com");
    const char *slash = strrchr(c->remote_temporary, '/');
    buffer_add_string(&c->link.out, slash ? c->remote_temporary : ".",
                      slash ? (size_t)(slash - c->remote_temporary) + 1 : 1);
    sftp_end(&c->link);
    return false;
}

/* What was made is still there: is there room for one more request's worth, or one more file? */
static void take_room(ssh_copy *c, sftp_reply *reply) {
    enum { BLOCK_SIZE, FRAGMENT_SIZE, BLOCKS, FREE, AVAILABLE, FILES, FILES_FREE, FILES_AVAILABLE, FIELDS };
    uint64_t fields[FIELDS];
    for (int i = 0; i < FIELDS; i++)
        fields[i] = sftp_take_u64(&reply->body);
    if (reply->type != SFTP_EXTENDED_REPLY || reply->body.bad || fields[FRAGMENT_SIZE] == 0)
        return;
    bool room = fields[AVAILABLE] > SFTP_CHUNK / fields[FRAGMENT_SIZE];
    bool files = fields[FILES] == 0 || fields[FILES_AVAILABLE] > 0; /* some file systems do not count */
    if (room && files)
        return;
    copy_fail_remote(c, "No space left on device");
    failure_add(&c->operation.failure, "hint", "nothing was changed; on the host: df -h %s; df -i %s",
                c->remote, c->remote);
}

static bool ask_remove(ssh_copy *c) {
    if (c->no_room) /* unless it is said already */
        copy_fail_remote(c, "the SFTP server says \"failure\", though the disk is not full");
    if (!c->temporary_is_there)
        return false;
    sftp_begin(&c->link, SFTP_REMOVE);
    sftp_add_text(&c->link, c->remote_temporary);
    sftp_end(&c->link);
    return false;
}

static void take_removed(ssh_copy *c, sftp_reply *reply) {
    c->temporary_is_there = reply->status != SFTP_OK && reply->status != SFTP_NO_SUCH_FILE;
}

/* ---- */

static const copy_phase phases[] = {
    {ask_target, take_target},
    {ask_old, take_old},
    {ask_temporary, take_temporary},
    {ask_write, take_written},
    {ask_owner, take_owner},
    {ask_mode, take_ok},
    {ask_sync, ignore},
    {copy_ask_close, take_ok},
    {ask_replace, take_replaced},
    {ask_rename, take_renamed},
    {NULL, NULL},
};

static const copy_phase tidying[] = {
    {copy_ask_close, ignore}, {ask_room, take_room}, {ask_remove, take_removed}, {NULL, NULL}};

static bool prepare(ssh_copy *c) {
    c->fd = open(c->local, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would keep everybody waiting */
    if (c->fd < 0 || fstat(c->fd, &c->local_stat)) {
        copy_fail_local(c, errno);
        return false;
    }
    if (!S_ISREG(c->local_stat.st_mode))
        copy_fail_local(c, S_ISDIR(c->local_stat.st_mode) ? EISDIR : EINVAL);
    return !c->failed;
}

ssh_copy *upload_new(const char *local, const char *remote) {
    static const copy_way way = {true, prepare, phases, tidying};
    return copy_new(&way, local, remote);
}
