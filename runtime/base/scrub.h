/* The scrubber: it keeps secrets out of everything that people read.
 *
 * A text is scrubbed as a whole and only then cut: a part of a secret is not known as one. Where all that
 * there is has been cut already, because a program was stopped or a line broke off, the parts at its edges
 * are hidden by scrub_beginning and scrub_end. */
#ifndef HOSTLER_BASE_SCRUB_H
#define HOSTLER_BASE_SCRUB_H

#include "base/long_work.h"

#include <stdbool.h>
#include <stddef.h>

#define SCRUB_MASK "[secret]"

/* From now on this text is hidden, as a whole and each of its lines, in all forms of secret_forms.h: also
 * where the form is broken into lines or its bytes stand apart. Texts shorter than six bytes are not searched
 * for: they would hit words that mean nothing. */
void scrub_remember(const char *text, size_t length);

/* The same, as long work: false when it is to end, with some of the lines remembered. */
bool scrub_remember_as(long_work *work, const char *text, size_t length);

/* From now on nothing is hidden: what had secrets to show is gone. */
void scrub_forget(void);

/* A copy of the text with every secret seen so far replaced by SCRUB_MASK. Free with free(). */
char *scrub(const char *text, size_t length, size_t *scrubbed_length);

/* The same, as long work: NULL when it is to end. */
char *scrub_as(long_work *work, const char *text, size_t length, size_t *scrubbed_length);

/* The first, and the last, `most` bytes of the scrubbed text, without half a mask or half a UTF-8 character.
 * What stands at the edges of the given text and is a part of a secret, of four bytes or more (eight where
 * they stand apart), is hidden as well. */
char *scrub_beginning(const char *text, size_t length, size_t most, size_t *scrubbed_length);
char *scrub_end(const char *text, size_t length, size_t most, size_t *scrubbed_length);

/* snprintf, except that what is written is scrubbed before it is cut. `out` may be among the arguments. */
void scrub_format(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
