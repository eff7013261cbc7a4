/* The body of a mail, as RFC 2045 wants it: parts in quoted-printable, so that any text arrives as it was. */
#ifndef HOSTLER_MAIL_MESSAGE_H
#define HOSTLER_MAIL_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    char *bytes;
    size_t length, room, sent;
} mail_message;

typedef struct {
    const char *bytes;
    size_t length;
    bool present;
} mail_part;

/* Builds the message from its finished header lines and its parts: one of them, or both as alternatives.
 * Returns false without memory. The bytes may hold secrets: mail_message_free wipes them. */
bool mail_message_build(mail_message *m, mail_part head, mail_part text, mail_part html,
                        const char *boundary);
void mail_message_free(mail_message *m);

#endif
