/* What libssh2 does not tell: which number a channel has, whether the server said how a command ended, and by
 * which methods it lets a user in. And what it does not let others do: to know its memory (publickey.c).
 *
 * libssh2 reads the status of a channel that closed without one as 0, a success. That happens: sshd's
 * ChannelTimeout closes a channel so, and any server may. So we look at each packet when libssh2 has dealt
 * with it: its payload is allocated and freed through functions of ours, and still whole when it is freed.
 * Should a later libssh2 wipe it, no command would seem to succeed, which no test overlooks. */
#include "ssh/overhear.h"

#include "ssh/operation.h"

#include <malloc.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST_BLOCK (256 * 1024) /* libssh2's packets are far smaller: a length that a server made up */

/* RFC 4252, section 6; RFC 4254, section 9 */
enum { USERAUTH_FAILURE = 51, CHANNEL_OPEN_CONFIRMATION = 91, CHANNEL_REQUEST = 98 };

/* By which methods the server goes on, and whether the last one was right. */
static void note_methods(ssh_session *s, const unsigned char *block, size_t size) {
    wire_reader packet = {block + 1, size - 1, false};
    size_t length;
    const unsigned char *list = wire_string(&packet, &length);
    if (packet.bad || length >= sizeof s->methods || packet.left < 1)
        return;
    for (size_t i = 0; i < length; i++)
        if (list[i] <= ' ' || list[i] >= 127)
            return;
    memcpy(s->methods, list, length);
    s->methods[length] = '\0';
    s->partly = *packet.at != 0;
}

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
    if (s->state == SESSION_LOGIN && size > 1 && *block == USERAUTH_FAILURE)
        note_methods(s, block, size);
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
    ssh_session *s = *abstract;
    void *block = size <= LARGEST_BLOCK ? malloc(size) : NULL;
    if (block && s->watch)
        s->watch->allocated(s, block, size);
    return block;
}

static void *reallocate(void *block, size_t size, void **abstract) {
    ssh_session *s = *abstract;
    bool watched = s->watch && s->watch->watches(s, block);
    void *to = size <= LARGEST_BLOCK ? realloc(block, size) : NULL;
    if (to && watched)
        s->watch->moved(s, to);
    return to;
}

static void release(void *block, void **abstract) {
    ssh_session *s = *abstract;
    if (block)
        overhear(s, block, malloc_usable_size(block));
    if (block && s->watch)
        s->watch->releasing(s, block);
    if (block && s->state == SESSION_LOGIN)
        sodium_memzero(block, malloc_usable_size(block)); /* it may have held a password */
    free(block);
}

LIBSSH2_SESSION *overhear_new(ssh_session *s) {
    return libssh2_session_init_ex(allocate, release, reallocate, s);
}
