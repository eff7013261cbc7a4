/* SFTP's requests and replies on a channel: version 3, draft-ietf-secsh-filexfer-02, with OpenSSH's
 * extensions. Internal to the ssh module.
 *
 * libssh2 has SFTP of its own, which does not serve here: asking a host that has none turns it into a loop
 * without end (libssh2_sftp_init waits for the channel to close although the session does not block), it
 * cannot replace a file at once (posix-rename), and it hides what the server says. */
#ifndef HOSTLER_SSH_SFTP_H
#define HOSTLER_SSH_SFTP_H

#include "ssh/operation.h"

#define SFTP_CHUNK (32 * 1024) /* bytes of a file in one request: every server takes so many */

typedef enum {
    SFTP_INIT = 1,
    SFTP_OPEN = 3,
    SFTP_CLOSE = 4,
    SFTP_READ = 5,
    SFTP_WRITE = 6,
    SFTP_FSTAT = 8,
    SFTP_SETSTAT = 9,
    SFTP_FSETSTAT = 10,
    SFTP_REMOVE = 13,
    SFTP_REALPATH = 16,
    SFTP_STAT = 17,
    SFTP_RENAME = 18,
    SFTP_EXTENDED = 200,
} sftp_request_type;

typedef enum {
    SFTP_VERSION = 2,
    SFTP_STATUS = 101,
    SFTP_HANDLE = 102,
    SFTP_DATA = 103,
    SFTP_NAME = 104,
    SFTP_ATTRIBUTES = 105,
    SFTP_EXTENDED_REPLY = 201,
} sftp_reply_type;

enum {
    SFTP_OK = 0,
    SFTP_END_OF_FILE = 1,
    SFTP_NO_SUCH_FILE = 2,
    SFTP_DENIED = 3,
    SFTP_FAILURE = 4,
    SFTP_UNSUPPORTED = 8
};
enum { SFTP_FOR_READING = 0x01, SFTP_FOR_WRITING = 0x02, SFTP_CREATE = 0x08, SFTP_EXCLUSIVE = 0x20 };
enum { SFTP_HAS_SIZE = 1, SFTP_HAS_OWNER = 2, SFTP_HAS_MODE = 4, SFTP_HAS_TIMES = 8 };

typedef struct {
    uint32_t known; /* SFTP_HAS_... */
    uint64_t size;
    uint32_t uid, gid, mode, mtime; /* mode with the file's type */
} sftp_attributes;

typedef struct {
    ssh_operation *operation;
    LIBSSH2_CHANNEL *channel;
    int phase;
    ssh_buffer out, in;
    size_t request, sent,
        parsed; /* where the request being made begins; what of `out` and `in` is done with */
    uint32_t last_id;
    int outstanding;                               /* requests without a reply */
    bool has_posix_rename, has_statvfs, has_fsync; /* OpenSSH's extensions that the server names */
} sftp_link;

/* What it points to is good until the next call of sftp_next. */
typedef struct {
    sftp_reply_type type;
    uint32_t id;
    uint32_t status; /* of an SFTP_STATUS; SFTP_OK for others */
    wire_reader body;
} sftp_reply;

/* Opens the channel and agrees on the version: EAGAIN, 0, or an error with the operation's failure set; it is
 * "ssh.sftp" when the host has no SFTP. */
int sftp_open(sftp_link *link);

/* Makes a request: begin, add its fields to link->out, end. Returns its id. */
void sftp_begin(sftp_link *link, sftp_request_type type);
uint32_t sftp_end(sftp_link *link);
void sftp_add_text(sftp_link *link, const char *text);
void sftp_add_u64(sftp_link *link, uint64_t number);

/* Sends what can be sent. False on an error, with the operation's failure set. */
bool sftp_flush(sftp_link *link);

/* True when one more large request would only wait in memory. */
bool sftp_is_full(const sftp_link *link);

/* The next reply: 1, 0 when none has come, or -1 on an error with the operation's failure set. */
int sftp_next(sftp_link *link, sftp_reply *reply);

uint64_t sftp_take_u64(wire_reader *body);
sftp_attributes sftp_take_attributes(wire_reader *body);

#define SFTP_REASON_SIZE 200

/* Why a status is no success: in the words of errno as far as the server tells, else in its own. */
const char *sftp_reason(const sftp_reply *reply, char text[SFTP_REASON_SIZE]);

/* True when the server itself says more than the word "failure". */
bool sftp_explains(const sftp_reply *reply);

void sftp_free(sftp_link *link);

#endif
