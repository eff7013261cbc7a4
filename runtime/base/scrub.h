/* The scrubber: it keeps secrets out of everything that people read. */
#ifndef HOSTLER_BASE_SCRUB_H
#define HOSTLER_BASE_SCRUB_H

#include <stddef.h>

#define SCRUB_MASK "[secret]"

/* From now on this text is hidden: plain, base64, URL-encoded, shell-quoted and JSON-escaped, as a whole and
 * each of its lines. Texts shorter than six bytes are not searched for: they would hit words that mean
 * nothing. */
void scrub_remember(const char *text, size_t length);

/* A copy of the text with every secret seen so far replaced by SCRUB_MASK. Free with free(). */
char *scrub(const char *text, size_t length, size_t *scrubbed_length);

#endif
