/* Offering a public key; see publickey.h.
 *
 * libssh2 1.10 takes the algorithm from the key's own first field, names the signature after it, and writes
 * nothing behind the signature. So by itself it offers no RSA key for SHA-2 as it should be, no certificate
 * but ECDSA's, and no key on a security token. Here it is helped at two points, both when it calls our memory
 * functions:
 *
 *   - When it allocates its request it has read the algorithm, and not yet copied the key: what begins with
 * the algorithm becomes the key as it is.
 *   - When it frees the signature it was given, the request is complete: the signature in it becomes the one
 * that is due. They have the same length, since we choose how much libssh2 takes for the signature.
 *
 * Should a later libssh2 go about it otherwise, no key of these kinds is accepted, which no test overlooks.
 */
#include "ssh/publickey.h"

#include <stdlib.h>
#include <string.h>

#define CERTIFICATE "-cert-v01@openssh.com"

/* How long the signature's type is as libssh2 writes it: of ECDSA's certificates it takes the key's. */
static size_t written_type_length(const char *algorithm) {
    size_t length = strlen(algorithm), suffix = strlen(CERTIFICATE);
    bool shortened = strncmp(algorithm, "ecdsa-sha2-nistp", 16) == 0 && length > suffix &&
                     strcmp(algorithm + length - suffix, CERTIFICATE) == 0;
    return shortened ? length - suffix : length;
}

/* ---- the memory of libssh2 ---- */

static void on_allocated(ssh_session *s, void *block, size_t size) {
    publickey_offer *offer = s->watch_context;
    if (offer->packet || size != offer->packet_size)
        return;
    offer->packet = block;
    memcpy(offer->dressed.data, offer->blob->data, offer->blob->length);
}

static bool watches(ssh_session *s, const void *block) {
    const publickey_offer *offer = s->watch_context;
    return offer->packet && block == offer->packet;
}

static void on_moved(ssh_session *s, void *to) {
    publickey_offer *offer = s->watch_context;
    offer->packet = to;
}

static void on_release(ssh_session *s, const void *block) {
    publickey_offer *offer = s->watch_context;
    if (block == offer->block && offer->packet) {
        ssh_buffer due = {NULL, 0, 0};
        buffer_add_string(&due, offer->signature.data, offer->signature.length);
        memcpy((char *)offer->packet + offer->signed_length, due.data, due.length);
        buffer_free(&due);
        offer->block = NULL;
    }
    if (block == offer->packet)
        offer->packet = NULL;
}

/* ---- the signature ---- */

/* libssh2's callback. Called again, with the same data, after it said EAGAIN. */
static int sign(LIBSSH2_SESSION *ssh2, unsigned char **signature, size_t *size, const unsigned char *data,
                size_t length, void **abstract) {
    publickey_offer *offer = *abstract;
    wire_reader reader = {data, length, false};
    size_t id_length, before = 8 + written_type_length(offer->algorithm); /* two lengths and the type */
    (void)ssh2;
    offer->wanted = true;
    wire_string(&reader, &id_length);
    int rc = offer->sign(offer->context, data, length, &offer->signature);
    if (rc)
        return rc;
    if (offer->signature.length <= before)
        return -1;
    offer->signed_length = reader.left;
    *size = offer->signature.length - before;
    *signature = offer->block = malloc(*size);
    if (!*signature)
        abort();
    memcpy(*signature, offer->signature.data + before, *size);
    return 0;
}

/* ---- the request ---- */

/* The key as libssh2 is to see it at first: as long as the key is, and it begins with the algorithm. */
static bool dress(publickey_offer *offer) {
    size_t length = strlen(offer->algorithm), whole = offer->blob->length;
    if (whole < 4 + length)
        return false;
    buffer_add_string(&offer->dressed, offer->algorithm, length);
    buffer_add(&offer->dressed, offer->blob->data + 4 + length, whole - 4 - length);
    size_t plain = strlen(offer->session->target.user) + length + whole + 45;
    offer->packet_size = plain + 4 + 4 + length + 4 + whole;
    return true;
}

int publickey_step(publickey_offer *offer) {
    static const memory_watch watch = {on_allocated, watches, on_moved, on_release};
    ssh_session *s = offer->session;
    void *context = offer;
    if (offer->dressed.length == 0 && !dress(offer))
        return LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED;
    s->watch_context = offer;
    s->watch = &watch;
    int rc = libssh2_userauth_publickey(s->ssh2, s->target.user, (unsigned char *)offer->dressed.data,
                                        offer->dressed.length, sign, &context);
    s->watch = NULL;
    return rc;
}

void publickey_end(publickey_offer *offer) {
    buffer_free(&offer->dressed);
    buffer_free(&offer->signature);
    memset(offer, 0, sizeof *offer);
}
