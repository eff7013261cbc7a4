/* Puts a mail together; see message.h. The room is reckoned before, since growing would leave copies of
 * secrets. */
#include "mail/message.h"

#include <stdlib.h>
#include <string.h>

#define LONGEST_LINE 76 /* of quoted-printable, RFC 2045 section 6.7 */
#define FIXED_ROOM 2048 /* more than all that is not a part */

static void add(mail_message *m, const char *bytes, size_t length) {
    memcpy(m->bytes + m->length, bytes, length);
    m->length += length;
}

static void add_text(mail_message *m, const char *text) {
    add(m, text, strlen(text));
}

static bool is_literal(unsigned char byte) {
    return (byte >= ' ' && byte <= '~' && byte != '=') || byte == '\t';
}

/* Bytes that a line break takes at this point: LF, CR LF or CR; 0 for none. */
static size_t line_break(const char *bytes, size_t left) {
    if (bytes[0] == '\n')
        return 1;
    if (bytes[0] == '\r')
        return left > 1 && bytes[1] == '\n' ? 2 : 1;
    return 0;
}

/* Quoted-printable. White space before a line's end is encoded, for servers may cut it off; the soft break at
 * the very end keeps a text without a last newline as it is. */
static void add_encoded(mail_message *m, mail_part part) {
    static const char hex[] = "0123456789ABCDEF";
    size_t column = 0;
    for (size_t i = 0; i < part.length;) {
        size_t left = part.length - i, ending = line_break(part.bytes + i, left);
        if (ending > 0) {
            add_text(m, "\r\n");
            column = 0;
            i += ending;
            continue;
        }
        unsigned char byte = (unsigned char)part.bytes[i++];
        bool last = left == 1 || line_break(part.bytes + i, left - 1) > 0;
        bool literal = is_literal(byte) && !(last && (byte == ' ' || byte == '\t'));
        if (column + (literal ? 1 : 3) > LONGEST_LINE - 1) {
            add_text(m, "=\r\n");
            column = 0;
        }
        char encoded[3] = {'=', hex[byte >> 4], hex[byte & 15]};
        add(m, literal ? (const char *)&byte : encoded, literal ? 1 : 3);
        column += literal ? 1 : 3;
    }
    if (column > 0)
        add_text(m, "=\r\n");
}

static void add_part(mail_message *m, const char *type, mail_part part) {
    add_text(m, "Content-Type: ");
    add_text(m, type);
    add_text(m, "; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n");
    add_encoded(m, part);
}

static void add_boundary(mail_message *m, const char *boundary, const char *end) {
    add_text(m, "\r\n--");
    add_text(m, boundary);
    add_text(m, end);
    add_text(m, "\r\n");
}

/* A byte takes at most three, and a soft break three more for every 24 of these. */
static size_t room_for(mail_part part) {
    return part.length * 4;
}

bool mail_message_build(mail_message *m, mail_part head, mail_part text, mail_part html,
                        const char *boundary) {
    m->length = m->sent = 0;
    m->room = head.length + room_for(text) + room_for(html) + 4 * strlen(boundary) + FIXED_ROOM;
    m->bytes = malloc(m->room);
    if (!m->bytes)
        return false;
    add(m, head.bytes, head.length);
    add_text(m, "MIME-Version: 1.0\r\n");
    if (!text.present || !html.present) {
        add_part(m, text.present ? "text/plain" : "text/html", text.present ? text : html);
        return true;
    }
    add_text(m, "Content-Type: multipart/alternative;\r\n boundary=\"");
    add_text(m, boundary);
    add_text(m, "\"\r\n");
    add_boundary(m, boundary, "");
    add_part(m, "text/plain", text);
    add_boundary(m, boundary, "");
    add_part(m, "text/html", html);
    add_boundary(m, boundary, "--");
    return true;
}

void mail_message_free(mail_message *m) {
    if (m->bytes)
        explicit_bzero(m->bytes, m->room);
    free(m->bytes);
    memset(m, 0, sizeof *m);
}
