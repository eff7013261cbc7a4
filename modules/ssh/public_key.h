/* Public keys as files have them, "ssh-ed25519 AAAA... comment", and as they are sent (RFC 4253, section 6.6;
 * RFC 5656, section 3.1; RFC 8709, section 4). */
#ifndef HOSTLER_SSH_PUBLIC_KEY_H
#define HOSTLER_SSH_PUBLIC_KEY_H

#include <stdbool.h>
#include <stddef.h>

#define LARGEST_PUBLIC_KEY 16384

/* A key in a text: its parts, which are inside that text. */
typedef struct {
    const char *type, *base64;
    size_t type_length, base64_length;
} public_key_text;

/* Takes the next word of a line that ends at `end`: what is between blanks and tabs. */
const char *public_key_word(const char **at, const char *end, size_t *length);

/* Finds the parts of "type base64 comment" before `end`, after blanks; false when there are none. Takes no
 * look at whether they are a key. */
bool public_key_parse(const char *text, const char *end, public_key_text *key);

/* The bytes of base64, with whatever may stand in it in a line; 0 when it is malformed or too long. */
size_t public_key_bytes(const char *base64, size_t length, unsigned char bytes[LARGEST_PUBLIC_KEY]);

/* The key's bytes, when they are a well-formed key of the type named beside them, as OpenSSH takes them; else
 * 0. Of a certificate only the type is checked. */
size_t public_key_decode(const public_key_text *key, unsigned char bytes[LARGEST_PUBLIC_KEY]);

#endif
