/* Text for people: a growing buffer, and what may safely be shown.
 *
 * What comes from outside is never sent to a terminal as it is: this is the one place that decides what is.
 * Control characters, C1 included, and the marks that turn the direction of writing become visible escapes;
 * bytes that are no UTF-8 become U+FFFD. Columns are counted as a terminal counts them: wide characters are
 * two, combining ones none. */
#ifndef HOSTLER_BASE_TEXT_H
#define HOSTLER_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed, it is empty. With `colour` unset, text_style adds nothing. */
typedef struct {
    char *text; /* NUL-terminated once anything was added */
    size_t length, room;
    bool colour;
} text_buffer;

void text_add(text_buffer *b, const char *bytes, size_t length);

/* Has exactly this room, the NUL counted, for what is there and for what is added; not less than is there. */
void text_set_room(text_buffer *b, size_t room);

void text_puts(text_buffer *b, const char *text);
void text_printf(text_buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_spaces(text_buffer *b, size_t count);
void text_clear(text_buffer *b);
void text_free(text_buffer *b);

typedef enum {
    STYLE_NONE,
    STYLE_BOLD,
    STYLE_DIM,
    STYLE_RED,
    STYLE_GREEN,
    STYLE_YELLOW,
    STYLE_MAGENTA,
    STYLE_CYAN
} text_style_name;

/* What follows looks like this, until the next call. */
void text_style(text_buffer *b, text_style_name style);

/* Adds what may be shown of the text and returns its columns. */
size_t text_visible(text_buffer *b, const char *text);

/* The same of a text of several lines: their ends stay, "\r\n" as "\n". */
void text_lines(text_buffer *b, const char *text, size_t length);

/* The same of lines that hold the codes of text_style: these stay too, and nothing else does. */
void text_painted_lines(text_buffer *b, const char *text, size_t length);

/* JSON text in which what must not be sent to a terminal stands as an escape: it means the same. */
void text_json(text_buffer *b, const char *json);

/* The same as text_visible, of at most this many columns: longer text ends in an ellipsis. */
size_t text_cut(text_buffer *b, const char *text, size_t columns);

/* Columns that text_visible would take. */
size_t text_columns(const char *text);

/* Adds the text with U+FFFD for bytes that are no UTF-8, and nothing else changed. */
void text_utf8(text_buffer *b, const char *text);

/* Whether all of it is well-formed UTF-8. */
bool text_is_utf8(const char *text, size_t length);

/* Bytes that the UTF-8 character takes which begins so; what begins none is one byte. */
size_t text_character_length(unsigned char first);

/* Whether the byte is not one that goes on with a UTF-8 character. */
bool text_begins_character(char byte);

/* "3.2s", "34s", "1m 15s", "2h 01m". `live` leaves out tenths: a running clock is calm. */
void text_duration(text_buffer *b, double seconds, bool live);

#endif
