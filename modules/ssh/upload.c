/* A file's way to the host; see upload.h. */
#define _GNU_SOURCE /* asprintf */
#include "ssh/upload.h"

#include "base/files.h"

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
    bool refused = reply->type == SFTP_STATUS && reply->status != SFTP_OK;
    if (!refused && !copy_expects(c, reply, SFTP_NAME))
        return;
    /* Some servers resolve only what exists: the next requests say what is wrong, if anything is. */
    c->remote_target = refused ? strdup(c->remote) : strndup((const char *)path, length);
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
    copy_is_file(c);
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

/* Perhaps: it is asked for when tidying. */
static bool is_no_room(const sftp_reply *reply) {
    return reply->type == SFTP_STATUS && reply->status == SFTP_FAILURE && !sftp_explains(reply);
}

static void take_temporary(ssh_copy *c, sftp_reply *reply) {
    if (is_no_room(reply))
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
    if (is_no_room(reply))
        c->failed = c->no_room = true;
    else if (copy_expects_ok(c, reply))
        c->moved++;
}

/* ---- making it the file ---- */

/* Begins a request to set attributes of the new file. Not every server does so on one that is open. */
static void begin_attributes(ssh_copy *c) {
    if (!c->by_path) {
        copy_begin_request(c, SFTP_FSETSTAT);
        return;
    }
    sftp_begin(&c->link, SFTP_SETSTAT);
    sftp_add_text(&c->link, c->remote_temporary);
}

static void take_attributes(ssh_copy *c, sftp_reply *reply) {
    c->by_path = reply->status != SFTP_OK;
}

/* Ownership that the caller asked for must be; that of the old file is kept where one may. */
static bool owner_is_wanted(const ssh_copy *c) {
    return c->uid != NO_OWNER || c->gid != NO_OWNER;
}

static void request_owner(ssh_copy *c) {
    begin_attributes(c);
    buffer_add_u32(&c->link.out, SFTP_HAS_OWNER);
    buffer_add_u32(&c->link.out, c->uid != NO_OWNER || !c->remote_exists ? c->uid : c->remote_stat.uid);
    buffer_add_u32(&c->link.out, c->gid != NO_OWNER || !c->remote_exists ? c->gid : c->remote_stat.gid);
    sftp_end(&c->link);
}

static bool ask_owner(ssh_copy *c) {
    if (owner_is_wanted(c) || (c->remote_exists && c->remote_stat.known & SFTP_HAS_OWNER))
        request_owner(c);
    return false;
}

static bool ask_owner_by_path(ssh_copy *c) {
    if (c->by_path)
        request_owner(c);
    return false;
}

static void take_owner(ssh_copy *c, sftp_reply *reply) {
    if (owner_is_wanted(c))
        copy_expects_ok(c, reply);
}

/* So with the mode: a server without modes still gets files. */
static void request_mode(ssh_copy *c) {
    bool keeps = c->remote_exists && c->remote_stat.known & SFTP_HAS_MODE;
    begin_attributes(c);
    buffer_add_u32(&c->link.out, SFTP_HAS_MODE);
    buffer_add_u32(&c->link.out, c->mode >= 0 ? (uint32_t)c->mode
                                 : keeps      ? c->remote_stat.mode & 07777
                                              : DEFAULT_MODE);
    sftp_end(&c->link);
}

static bool ask_mode(ssh_copy *c) {
    c->by_path = false;
    request_mode(c);
    return false;
}

static bool ask_mode_by_path(ssh_copy *c) {
    if (c->by_path)
        request_mode(c);
    return false;
}

static void take_mode(ssh_copy *c, sftp_reply *reply) {
    if (c->mode >= 0 && !copy_expects_ok(c, reply))
        failure_add(&c->operation.failure, "hint",
                    "the server does not set modes: leave the mode out and it gives the file one of its own");
}

static void take_ok(ssh_copy *c, sftp_reply *reply) {
    copy_expects_ok(c, reply);
}

static void ignore(ssh_copy *c, sftp_reply *reply) {
    (void)c, (void)reply;
}

static bool ask_sync(ssh_copy *c) {
    if (!c->link.has_fsync)
        return false;
    sftp_begin(&c->link, SFTP_EXTENDED);
    sftp_add_text(&c->link, "fsync@openssh.com");
    buffer_add_string(&c->link.out, c->handle.data, c->handle.length);
    sftp_end(&c->link);
    return false;
}

/* ---- taking its place ---- */

static void request_rename(ssh_copy *c, const char *from, const char *to) {
    sftp_begin(&c->link, SFTP_RENAME);
    sftp_add_text(&c->link, from);
    sftp_add_text(&c->link, to);
    sftp_end(&c->link);
}

/* At once, where the server can. */
static bool ask_replace(ssh_copy *c) {
    if (!c->link.has_posix_rename)
        return false;
    c->operation.unclear = true;
    sftp_begin(&c->link, SFTP_EXTENDED);
    sftp_add_text(&c->link, "posix-rename@openssh.com");
    sftp_add_text(&c->link, c->remote_temporary);
    sftp_add_text(&c->link, c->remote_target);
    sftp_end(&c->link);
    return false;
}

static void note_replaced(ssh_copy *c) {
    c->replaced = true;
    c->temporary_is_there = false;
}

static void take_replaced(ssh_copy *c, sftp_reply *reply) {
    c->operation.unclear = false;
    if (!(reply->type == SFTP_STATUS && reply->status == SFTP_UNSUPPORTED) && copy_expects_ok(c, reply))
        note_replaced(c);
}

static bool ask_rename(ssh_copy *c) {
    if (c->replaced)
        return false;
    c->operation.unclear = true;
    request_rename(c, c->remote_temporary, c->remote_target);
    return false;
}

/* Many servers rename only where there is no file yet. */
static void take_renamed(ssh_copy *c, sftp_reply *reply) {
    c->operation.unclear = false;
    bool in_the_way = c->remote_exists && !c->remote_aside;
    if (!(in_the_way && reply->status != SFTP_OK) && copy_expects_ok(c, reply))
        note_replaced(c);
}

/* The old file steps aside, so that it is never lost: for a moment there is none. */
static bool ask_aside(ssh_copy *c) {
    if (c->replaced)
        return false;
    c->remote_aside = name_temporary(c->remote_target);
    request_rename(c, c->remote_target, c->remote_aside);
    c->aside_is_there = true; /* it may be, from now on */
    return false;
}

static void take_aside(ssh_copy *c, sftp_reply *reply) {
    c->aside_is_there = copy_expects_ok(c, reply);
}

static bool ask_remove_aside(ssh_copy *c) {
    if (!c->replaced || !c->aside_is_there)
        return false;
    sftp_begin(&c->link, SFTP_REMOVE);
    sftp_add_text(&c->link, c->remote_aside);
    sftp_end(&c->link);
    return false;
}

/* ---- when it failed ---- */

static bool ask_return(ssh_copy *c) {
    if (!c->replaced && c->aside_is_there)
        request_rename(c, c->remote_aside, c->remote_target);
    return false;
}

static void take_returned(ssh_copy *c, sftp_reply *reply) {
    c->aside_is_there = reply->status != SFTP_OK;
}

static bool ask_room(ssh_copy *c) {
    if (!c->no_room || !c->link.has_statvfs)
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
    c->has_room = room && files;
    if (c->has_room)
        return;
    copy_fail_remote(c, "No space left on device");
    failure_add(&c->operation.failure, "hint", "nothing was changed; on the host: df -h %s; df -i %s",
                c->remote, c->remote);
}

static bool ask_remove(ssh_copy *c) {
    if (c->no_room) /* unless it is said already */
        copy_fail_remote(c, c->has_room
                                ? "the SFTP server says \"failure\", though the disk is not full"
                                : "the SFTP server says no more than \"failure\": the disk may be full");
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
    {ask_owner, take_attributes},
    {ask_owner_by_path, take_owner},
    {ask_mode, take_attributes},
    {ask_mode_by_path, take_mode},
    {ask_sync, ignore},
    {copy_ask_close, take_ok},
    {ask_replace, take_replaced},
    {ask_rename, take_renamed},
    {ask_aside, take_aside},
    {ask_rename, take_renamed},
    {ask_remove_aside, ignore},
    {NULL, NULL},
};

static const copy_phase tidying[] = {{copy_ask_close, ignore},    {ask_room, take_room},
                                     {ask_return, take_returned}, {ask_remove, take_removed},
                                     {ask_remove_aside, ignore},  {NULL, NULL}};

static bool prepare(ssh_copy *c) {
    int problem = files_open(c->local, O_RDONLY, &c->fd);
    if (!problem && fstat(c->fd, &c->local_stat))
        problem = errno;
    if (problem)
        copy_fail_local(c, problem);
    return !problem;
}

ssh_copy *upload_new(const char *local, const char *remote) {
    static const copy_way way = {true, prepare, phases, tidying};
    return copy_new(&way, local, remote);
}
