/* What libssh2 does not tell: which number a channel has, and whether the server said how a command ended.
 *
 * libssh2 reads the status of a channel that closed without one as 0, a success. That happens: sshd's
 * ChannelTimeout closes a channel so, and any server may. So we look at each packet when libssh2 has dealt
 * with it: its payload is allocated and freed through functions of ours, and still whole when it is freed.
 * Should a later libssh2 wipe it, no command would seem to succeed, which no test overlooks. */
#include "ssh/overhear.h"

#include "ssh/operation.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum { CHANNEL_OPEN_CONFIRMATION = 91, CHANNEL_REQUEST = 98 }; /* RFC 4254, section 9 */

static void note_status(ssh_session *s, uint32_t channel, wire_reader *packet) {
    static const char wanted[] = "exit-status";
    size_t length;
    const unsigned char *type = wire_string(packet, &length);
    if (packet->bad || length != strlen(wanted) || memcmp(type, wanted, length) != 0)
        return;
    for (ssh_operation *op = s->operations; op; op = op->next)
        if (op->channel_number == channel)
            op->has_status = true;
}

static void overhear(ssh_session *s, const unsigned char *block, size_t size) {
    if (size < 1 || (*block != CHANNEL_OPEN_CONFIRMATION && *block != CHANNEL_REQUEST))
        return;
    wire_reader packet = {block + 1, size - 1, false};
    uint32_t channel = wire_u32(&packet);
    if (*block == CHANNEL_REQUEST)
        note_status(s, channel, &packet);
    else
        s->confirmed_channel = channel;
}

static void *allocate(size_t size, void **abstract) {
    (void)abstract;
    return malloc(size);
}

static void *reallocate(void *block, size_t size, void **abstract) {
    (void)abstract;
    return realloc(block, size);
}

static void release(void *block, void **abstract) {
    if (block)
        overhear(*abstract, block, malloc_usable_size(block));
    free(block);
}

LIBSSH2_SESSION *overhear_new(ssh_session *s) {
    return libssh2_session_init_ex(allocate, release, reallocate, s);
}
