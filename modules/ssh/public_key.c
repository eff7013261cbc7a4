/* See public_key.h. */
#include "ssh/public_key.h"

#include "ssh/wire.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <sodium.h>
#include <string.h>

#define SHORTEST_RSA 1024 /* bits; OpenSSH takes no shorter key for one */
#define LONGEST_RSA 16384
#define CERTIFICATE "-cert-v01@openssh.com"

/* What follows the type: e a 32-byte key, m a number, n an RSA modulus, c a curve's name, p a point on it, s
 * text. */
static const struct {
    const char *type, *written, *parts, *curve; /* written: the type in the bytes */
    int group;
} types[] = {
    {"ssh-ed25519", "ssh-ed25519", "e", NULL, 0},
    {"ssh-rsa", "ssh-rsa", "mn", NULL, 0},
    {"rsa-sha2-256", "ssh-rsa", "mn", NULL, 0},
    {"rsa-sha2-512", "ssh-rsa", "mn", NULL, 0},
    {"ssh-dss", "ssh-dss", "mmmm", NULL, 0},
    {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", "cp", "nistp256", NID_X9_62_prime256v1},
    {"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", "cp", "nistp384", NID_secp384r1},
    {"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", "cp", "nistp521", NID_secp521r1},
    {"sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519@openssh.com", "es", NULL, 0},
    {"sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com", "cps", "nistp256",
     NID_X9_62_prime256v1},
};

const char *public_key_word(const char **at, const char *end, size_t *length) {
    while (*at < end && (**at == ' ' || **at == '\t'))
        (*at)++;
    const char *start = *at;
    while (*at < end && **at != ' ' && **at != '\t')
        (*at)++;
    *length = (size_t)(*at - start);
    return start;
}

bool public_key_parse(const char *text, const char *end, public_key_text *key) {
    key->type = public_key_word(&text, end, &key->type_length);
    key->base64 = public_key_word(&text, end, &key->base64_length);
    return key->base64_length > 0 && *key->type != '#';
}

size_t public_key_bytes(const char *base64, size_t length, unsigned char bytes[LARGEST_PUBLIC_KEY]) {
    size_t size;
    bool ok = sodium_base642bin(bytes, LARGEST_PUBLIC_KEY, base64, length, "\r\n\v\f", &size, NULL,
                                sodium_base64_VARIANT_ORIGINAL) == 0;
    return ok ? size : 0;
}

/* ---- what is inside ---- */

/* The bits of an unsigned number; -1 for a negative one. */
static long bits_of(const unsigned char *number, size_t length) {
    if (length > 0 && *number & 0x80)
        return -1;
    while (length > 0 && *number == 0)
        number++, length--;
    if (length == 0)
        return 0;
    return (long)(length - 1) * 8 + (32 - __builtin_clz(*number));
}

static bool is_on_curve(int group, const unsigned char *bytes, size_t length) {
    EC_GROUP *curve = EC_GROUP_new_by_curve_name(group);
    EC_POINT *point = curve ? EC_POINT_new(curve) : NULL;
    bool ok = point && length > 0 && *bytes == POINT_CONVERSION_UNCOMPRESSED &&
              EC_POINT_oct2point(curve, point, bytes, length, NULL) == 1 &&
              !EC_POINT_is_at_infinity(curve, point);
    EC_POINT_free(point);
    EC_GROUP_free(curve);
    ERR_clear_error();
    return ok;
}

static bool is_part(char kind, const char *curve, int group, const unsigned char *bytes, size_t length) {
    long bits = bits_of(bytes, length);
    switch (kind) {
    case 'e':
        return length == 32;
    case 'm':
        return bits >= 0 && bits <= LONGEST_RSA;
    case 'n':
        return bits >= SHORTEST_RSA && bits <= LONGEST_RSA;
    case 'c':
        return length == strlen(curve) && memcmp(bytes, curve, length) == 0;
    case 'p':
        return is_on_curve(group, bytes, length);
    default:
        return true;
    }
}

static bool ends_with(const char *text, size_t length, const char *end) {
    size_t size = strlen(end);
    return length > size && memcmp(text + length - size, end, size) == 0;
}

/* Whether the bytes are a key of this type. */
static bool is_well_formed(const public_key_text *key, const unsigned char *blob, size_t length) {
    wire_reader reader = {blob, length, false};
    size_t size;
    const unsigned char *part = wire_string(&reader, &size);
    if (ends_with(key->type, key->type_length, CERTIFICATE))
        return !reader.bad && size == key->type_length && memcmp(part, key->type, size) == 0;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strlen(types[i].type) != key->type_length ||
            memcmp(types[i].type, key->type, key->type_length) != 0)
            continue;
        bool ok = wire_is_type(blob, length, types[i].written);
        for (const char *kind = types[i].parts; ok && *kind; kind++) {
            part = wire_string(&reader, &size);
            ok = !reader.bad && is_part(*kind, types[i].curve, types[i].group, part, size);
        }
        return ok && reader.left == 0;
    }
    return false;
}

size_t public_key_decode(const public_key_text *key, unsigned char bytes[LARGEST_PUBLIC_KEY]) {
    size_t size = public_key_bytes(key->base64, key->base64_length, bytes);
    return size > 0 && is_well_formed(key, bytes, size) ? size : 0;
}
