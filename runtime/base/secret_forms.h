/* The forms of a secret: what encoding, quoting and escaping make of its text. */
#ifndef HOSTLER_BASE_SECRET_FORMS_H
#define HOSTLER_BASE_SECRET_FORMS_H

#include <stddef.h>

/* Is given one form after the other. The text is gone afterwards. */
typedef void (*form_taker)(void *data, const char *form, size_t length);

/* Tells the forms of the text: as it is, in base64 (at each of its three alignments, both alphabets), in
 * hexadecimal digits (both cases), URL-encoded, as a field of a form, shell-quoted and JSON-escaped (in UTF-8
 * and in ASCII), these two also of the encoded ones. Some forms are alike, and told twice. */
void secret_forms(const char *text, size_t length, form_taker take, void *data);

#endif
