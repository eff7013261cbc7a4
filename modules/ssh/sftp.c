/* SFTP's requests and replies; see sftp.h. */
#include "ssh/sftp.h"

#include <string.h>
#include <strings.h>

#define LARGEST_REPLY (SFTP_CHUNK + 4096)
#define VERSION 3

enum { LINK_OPEN, LINK_SUBSYSTEM, LINK_HELLO, LINK_READY };

static int fail(sftp_link *link, int rc, const char *doing) {
    ssh_session *s = link->operation->session;
    if (!session_note_error(s, rc, doing))
        failure_set(&link->operation->failure, "ssh.channel", "%s failed %s: %s", s->target.label, doing,
                    session_last_error(s));
    return -1;
}

static int fail_protocol(sftp_link *link) {
    failure_set(&link->operation->failure, "ssh.protocol", "%s: the SFTP server sent what is not SFTP",
                link->operation->session->target.label);
    failure_add(&link->operation->failure, "hint",
                "a shell that prints something at every login does this: try "
                "`ssh HOST true`, which should print nothing");
    return -1;
}

/* ---- requests ---- */

void sftp_begin(sftp_link *link, sftp_request_type type) {
    unsigned char byte = (unsigned char)type;
    link->request = link->out.length;
    buffer_add_u32(&link->out, 0); /* its length, once known */
    buffer_add(&link->out, &byte, 1);
    buffer_add_u32(&link->out, ++link->last_id);
}

static void write_length(sftp_link *link) {
    size_t length = link->out.length;
    uint32_t size = (uint32_t)(length - link->request - 4);
    link->out.length = link->request;
    buffer_add_u32(&link->out, size);
    link->out.length = length;
}

uint32_t sftp_end(sftp_link *link) {
    write_length(link);
    link->outstanding++;
    return link->last_id;
}

void sftp_add_text(sftp_link *link, const char *text) {
    buffer_add_string(&link->out, text, strlen(text));
}

void sftp_add_u64(sftp_link *link, uint64_t number) {
    buffer_add_u32(&link->out, (uint32_t)(number >> 32));
    buffer_add_u32(&link->out, (uint32_t)number);
}

bool sftp_flush(sftp_link *link) {
    while (link->sent < link->out.length && link->operation->session->out.length < HIGH_WATER) {
        ssize_t count =
            libssh2_channel_write(link->channel, link->out.data + link->sent, link->out.length - link->sent);
        if (count == LIBSSH2_ERROR_EAGAIN || count == 0)
            break;
        if (count < 0) {
            fail(link, (int)count, "while it took a file");
            return false;
        }
        link->sent += (size_t)count;
    }
    if (link->sent == link->out.length)
        link->sent = link->out.length = 0;
    return true;
}

bool sftp_is_full(const sftp_link *link) {
    return link->out.length > 0 || link->operation->session->out.length >= HIGH_WATER;
}

/* ---- replies ---- */

/* Reads more into link->in: 1, 0 when there is no more now, -1 on an error. */
static int receive(sftp_link *link) {
    static char chunk[2 * SFTP_CHUNK];
    if (link->parsed > 0)
        buffer_drop(&link->in, link->parsed);
    link->parsed = 0;
    ssize_t count = libssh2_channel_read(link->channel, chunk, sizeof chunk);
    if (count > 0) {
        buffer_add(&link->in, chunk, (size_t)count);
        return 1;
    }
    if (count < 0 && count != LIBSSH2_ERROR_EAGAIN)
        return fail(link, (int)count, "while it copied a file");
    if (!libssh2_channel_eof(link->channel))
        return 0;
    failure_set(&link->operation->failure, "ssh.closed", "the SFTP server of %s ended",
                link->operation->session->target.label);
    return -1;
}

/* The body of the next packet, from its type on: 1, 0, -1 as above. */
static int next_packet(sftp_link *link, wire_reader *packet) {
    for (;;) {
        wire_reader reader = {(unsigned char *)link->in.data + link->parsed, link->in.length - link->parsed,
                              false};
        uint32_t length = wire_u32(&reader);
        if (!reader.bad && (length < 5 || length > LARGEST_REPLY))
            return fail_protocol(link);
        if (!reader.bad && reader.left >= length) {
            *packet = (wire_reader){reader.at, length, false};
            link->parsed += 4 + length;
            return 1;
        }
        int got = receive(link);
        if (got <= 0)
            return got;
    }
}

static unsigned char take_byte(wire_reader *body) {
    body->left--;
    return *body->at++;
}

int sftp_next(sftp_link *link, sftp_reply *reply) {
    int got = next_packet(link, &reply->body);
    if (got <= 0)
        return got;
    reply->type = take_byte(&reply->body);
    reply->id = wire_u32(&reply->body);
    reply->status = reply->type == SFTP_STATUS ? wire_u32(&reply->body) : SFTP_OK;
    if (reply->body.bad || link->outstanding == 0)
        return fail_protocol(link);
    link->outstanding--;
    return 1;
}

uint64_t sftp_take_u64(wire_reader *body) {
    uint64_t high = wire_u32(body);
    return high << 32 | wire_u32(body);
}

sftp_attributes sftp_take_attributes(wire_reader *body) {
    sftp_attributes found = {.known = wire_u32(body)};
    if (found.known & SFTP_HAS_SIZE)
        found.size = sftp_take_u64(body);
    if (found.known & SFTP_HAS_OWNER) {
        found.uid = wire_u32(body);
        found.gid = wire_u32(body);
    }
    if (found.known & SFTP_HAS_MODE)
        found.mode = wire_u32(body);
    if (found.known & SFTP_HAS_TIMES) {
        wire_u32(body); /* the last access */
        found.mtime = wire_u32(body);
    }
    return found;
}

/* The message of a status, fit to be shown. */
static void take_message(const sftp_reply *reply, char text[SFTP_REASON_SIZE]) {
    wire_reader body = reply->body;
    size_t length, i;
    const unsigned char *message = wire_string(&body, &length);
    for (i = 0; i < length && i < SFTP_REASON_SIZE - 1; i++)
        text[i] = message[i] >= ' ' && message[i] < 127 ? (char)message[i] : '?';
    text[i] = '\0';
}

bool sftp_explains(const sftp_reply *reply) {
    char text[SFTP_REASON_SIZE];
    take_message(reply, text);
    return *text && strcasecmp(text, "failure") != 0;
}

const char *sftp_reason(const sftp_reply *reply, char text[SFTP_REASON_SIZE]) {
    switch (reply->status) {
    case SFTP_END_OF_FILE:
        return "it ended early";
    case SFTP_NO_SUCH_FILE:
        return "No such file or directory";
    case SFTP_DENIED:
        return "Permission denied";
    case SFTP_UNSUPPORTED:
        return "the SFTP server cannot do this";
    default:
        take_message(reply, text);
        return sftp_explains(reply) ? text : "the SFTP server says no more than \"failure\"";
    }
}

/* ---- opening ---- */

static int open_channel(sftp_link *link) {
    int rc;
    link->channel = operation_open_channel(link->operation, "session", NULL, &rc);
    if (!link->channel && rc != LIBSSH2_ERROR_EAGAIN &&
        operation_explain_refusal(link->operation, "ssh.channel", "the copy cannot begin"))
        return -1;
    if (!link->channel)
        return rc == LIBSSH2_ERROR_EAGAIN ? rc : fail(link, rc, "while opening a channel");
    libssh2_channel_handle_extended_data2(link->channel, LIBSSH2_CHANNEL_EXTENDED_DATA_IGNORE);
    return 0;
}

static int start_subsystem(sftp_link *link) {
    int rc = libssh2_channel_process_startup(link->channel, "subsystem", 9, "sftp", 4);
    if (rc == LIBSSH2_ERROR_EAGAIN)
        return rc;
    if (rc == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED || rc == LIBSSH2_ERROR_CHANNEL_FAILURE) {
        failure_set(&link->operation->failure, "ssh.sftp", "%s has no SFTP",
                    link->operation->session->target.label);
        return -1;
    }
    if (rc)
        return fail(link, rc, "while starting SFTP");
    sftp_begin(link, SFTP_INIT);
    link->out.length -= 4; /* this one has no id */
    buffer_add_u32(&link->out, VERSION);
    write_length(link);
    return 0;
}

/* Pairs of a name and a version. */
static void take_extensions(sftp_link *link, wire_reader *packet) {
    const struct {
        const char *name;
        bool *has;
    } wanted[] = {{"posix-rename@openssh.com", &link->has_posix_rename},
                  {"statvfs@openssh.com", &link->has_statvfs},
                  {"fsync@openssh.com", &link->has_fsync}};
    while (packet->left > 0 && !packet->bad) {
        size_t length, unused;
        const unsigned char *name = wire_string(packet, &length);
        wire_string(packet, &unused);
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted && !packet->bad; i++)
            if (length == strlen(wanted[i].name) && memcmp(name, wanted[i].name, length) == 0)
                *wanted[i].has = true;
    }
}

static int take_version(sftp_link *link) {
    wire_reader packet;
    if (!sftp_flush(link))
        return -1;
    int got = next_packet(link, &packet);
    if (got == 0)
        return LIBSSH2_ERROR_EAGAIN;
    if (got < 0)
        return got;
    if (take_byte(&packet) != SFTP_VERSION || wire_u32(&packet) != VERSION || packet.bad)
        return fail_protocol(link);
    take_extensions(link, &packet);
    return 0;
}

int sftp_open(sftp_link *link) {
    static int (*const steps[])(sftp_link *) = {
        [LINK_OPEN] = open_channel, [LINK_SUBSYSTEM] = start_subsystem, [LINK_HELLO] = take_version};
    int rc = 0;
    while (rc == 0 && link->phase < LINK_READY) {
        rc = steps[link->phase](link);
        if (rc == 0)
            link->phase++;
    }
    return rc;
}

void sftp_free(sftp_link *link) {
    buffer_free(&link->out);
    buffer_free(&link->in);
}
