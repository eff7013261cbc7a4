/* One file on its way between this machine and a host, over SFTP. Internal to the ssh module.
 *
 * A copy is a list of phases. Each asks the server for something and takes what it answers; the next begins
 * when everything asked has been answered. Moving the content is a phase that asks for many chunks before the
 * first answer comes. When a phase fails, or nobody wants the copy any more, what was asked is waited for,
 * and the tidying phases follow.
 *
 * What is new is made under a temporary name in the file's directory, for its owner alone, and takes the
 * file's place when it is whole and on the disk.
 *
 * Local files are regular ones, read and written plainly in chunks: between us and the page cache that is
 * quicker than handing each chunk to a thread, and a turn of the loop moves a few megabytes at most. The
 * price: a disk that cannot keep up with a download holds the loop up as well, for 0.2 s at worst where 5 GB
 * were written at once. */
#ifndef HOSTLER_SSH_COPY_H
#define HOSTLER_SSH_COPY_H

#include "ssh/sftp.h"

#include <sys/stat.h>

#define MOST_REQUESTS 64    /* on their way at once: 2 MiB of content */
#define NO_OWNER UINT32_MAX /* leaves that part of the ownership as it is, for OpenSSH as for chown(2) */

typedef struct ssh_copy ssh_copy;
typedef struct copy_sync copy_sync;

typedef struct {
    /* Makes one request, or none. True when it is to be called again before the phase can end. */
    bool (*ask)(ssh_copy *);
    void (*take)(ssh_copy *, sftp_reply *);
} copy_phase;

typedef struct {
    uint32_t id;
    uint64_t offset;
    uint32_t length; /* 0: free */
} copy_slot;

/* Up or down: what its file (upload.c, download.c) makes of a copy. */
typedef struct {
    bool up;
    /* Opens the local side. False when that fails, with the operation's failure set. */
    bool (*prepare)(ssh_copy *);
    const copy_phase *phases, *tidying; /* lists that end with a zeroed one; the latter follow a failure */
} copy_way;

struct ssh_copy {
    ssh_operation operation;
    const copy_way *way;
    sftp_link link;
    const copy_phase *phase;
    const copy_phase *tidying; /* what follows when it fails; NULL once it began */
    bool opened, asked_all, failed, closing, done;
    uv_timer_t *patience; /* with tidying, once nobody wants the copy */

    char *local, *remote; /* paths as given */
    uint64_t limit;       /* most bytes that are downloaded; 0: any */

    int fd;
    struct stat local_stat;      /* of the local file as it was */
    char *local_target;          /* what a download replaces: no link */
    char *local_temporary;       /* owned, and there while not NULL */
    char *remote_target;         /* what an upload replaces: no link */
    char *remote_temporary;      /* owned */
    bool temporary_is_there;     /* on the host, as far as we know */
    ssh_buffer handle;           /* of the remote file, while open */
    sftp_attributes remote_stat; /* of the remote file as it was */
    bool remote_exists, no_room; /* a write failed in a way that may be a full disk */
    bool replaced;               /* the new one is in its place */
    bool by_path;                /* attributes: the server does not set them on an open file */
    char *remote_aside;          /* where the old one is meanwhile, on a server that renames over no file */
    bool aside_is_there;
    bool has_room;   /* the server says so, after a failure that may come from a full disk */
    bool endless;    /* no size is known: /proc */
    copy_sync *sync; /* under way in a thread; the phase waits for it */

    int64_t mode;      /* of the new file; -1: the old one's, or 0644 */
    uint32_t uid, gid; /* NO_OWNER: the old one's, or whoever writes */
    uint64_t offset;   /* asked for so far */
    uint64_t moved;    /* bytes that have arrived */
    copy_slot slots[MOST_REQUESTS];
};

/* Makes the operation for these paths, which it copies. */
ssh_copy *copy_new(const copy_way *way, const char *local, const char *remote);

/* Opens the local side and begins. When that fails the operation settles at once, with its failure set. */
void copy_begin(ssh_copy *copy, ssh_session *s);

/* Nobody wants it any more: it settles when what it made has been taken away again, or after a few seconds.
 */
void copy_cancel(ssh_copy *copy);

/* Closes the local file, and removes one that did not become whole. */
void copy_leave_local(ssh_copy *copy);

/* Has what was written to the local file brought to its disk, in a thread. The phase ends no earlier. */
void copy_begin_sync(ssh_copy *copy);

/* Fails with "ssh.file". `problem` is an errno. */
void copy_fail_local(ssh_copy *copy, int problem);
void copy_fail_remote(ssh_copy *copy, const char *reason);

/* Fails unless the reply is of this type; then true. */
bool copy_expects(ssh_copy *copy, const sftp_reply *reply, sftp_reply_type type);
/* The same for a status that is to be OK. */
bool copy_expects_ok(ssh_copy *copy, const sftp_reply *reply);

/* Fails unless remote_stat is a regular file's, as far as the server tells; then true. */
bool copy_is_file(ssh_copy *copy);

/* Makes a request about the open remote file: begin, the handle. */
void copy_begin_request(ssh_copy *copy, sftp_request_type type);
void copy_take_handle(ssh_copy *copy, sftp_reply *reply);
bool copy_ask_close(ssh_copy *copy);

#endif
