/* The growing buffer and the filter for what is shown; see text.h. */
#define _GNU_SOURCE /* wcwidth */
#include "base/text.h"

#include <locale.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define REPLACEMENT 0xfffd
#define ELLIPSIS "\xe2\x80\xa6"

void text_set_room(text_buffer *b, size_t room) {
    char *moved = realloc(b->text, room);
    if (!moved)
        abort();
    b->text = moved;
    b->room = room;
}

void text_add(text_buffer *b, const char *bytes, size_t length) {
    if (b->length + length + 1 > b->room)
        text_set_room(b, (b->length + length + 1) * 2);
    memcpy(b->text + b->length, bytes, length);
    b->length += length;
    b->text[b->length] = '\0';
}

void text_puts(text_buffer *b, const char *text) {
    text_add(b, text, strlen(text));
}

/* For short texts of hostler's own: at most 255 bytes. */
void text_printf(text_buffer *b, const char *format, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length > 0)
        text_add(b, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
}

void text_spaces(text_buffer *b, size_t count) {
    static const char spaces[] = "                                ";
    for (; count > 0; count -= count < 32 ? count : 32)
        text_add(b, spaces, count < 32 ? count : 32);
}

void text_clear(text_buffer *b) {
    b->length = 0;
    if (b->text)
        b->text[0] = '\0';
}

void text_free(text_buffer *b) {
    free(b->text);
    b->text = NULL;
    b->length = b->room = 0;
}

static const char *const style_codes[] = {
    [STYLE_NONE] = "\033[0m",     [STYLE_BOLD] = "\033[1m",   [STYLE_DIM] = "\033[2m",
    [STYLE_RED] = "\033[31m",     [STYLE_GREEN] = "\033[32m", [STYLE_YELLOW] = "\033[33m",
    [STYLE_MAGENTA] = "\033[35m", [STYLE_CYAN] = "\033[36m",
};

void text_style(text_buffer *b, text_style_name style) {
    if (b->colour)
        text_puts(b, style_codes[style]);
}

/* The length of the code of a style that the text begins with, or 0. */
static size_t style_length(const char *text, size_t left) {
    for (size_t i = 0; i < sizeof style_codes / sizeof *style_codes; i++) {
        size_t length = strlen(style_codes[i]);
        if (length <= left && memcmp(text, style_codes[i], length) == 0)
            return length;
    }
    return 0;
}

/* ---- characters ---- */

bool text_begins_character(char byte) {
    return ((unsigned char)byte & 0xc0) != 0x80;
}

size_t text_character_length(unsigned char first) {
    return first < 0xc2 || first > 0xf4 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* The length of the well-formed UTF-8 sequence at the start of the text, or 0. Overlong forms, surrogates and
 * what lies past U+10FFFF are none. RFC 3629, section 4. */
static size_t sequence_length(const char *text, size_t left) {
    const unsigned char *s = (const unsigned char *)text;
    size_t length = text_character_length(s[0]);
    if (length == 1)
        return s[0] < 0x80;
    if (length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if (text_begins_character(text[i]))
            return 0;
    bool refused = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
                   (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f);
    return refused ? 0 : length;
}

/* Decodes one character of NUL-terminated text, not at its end. Of what is no UTF-8, *character is U+FFFD and
 * one byte is taken. Returns the bytes taken. */
static size_t decode(const char *text, uint32_t *character) {
    size_t length = sequence_length(text, SIZE_MAX);
    unsigned char first = (unsigned char)text[0];
    *character = length == 0 ? REPLACEMENT : length == 1 ? first : first & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++)
        *character = *character << 6 | (text[i] & 0x3f);
    return length ? length : 1;
}

static bool turns_direction(uint32_t c) {
    return c == 0x200e || c == 0x200f || c == 0x061c || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

static bool is_control(uint32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029;
}

/* The columns of a printable character; -1 for what a terminal cannot show. The C library knows widths only
 * in a UTF-8 locale, whatever the person's is. */
static int width_of(uint32_t c) {
    static locale_t utf8;
    if (c < 0x7f)
        return 1;
    if (!utf8)
        utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (!utf8)
        return 1;
    locale_t before = uselocale(utf8);
    int width = wcwidth((wchar_t)c);
    uselocale(before);
    return width;
}

/* One character as it is shown: its bytes in `shown` (at least 12), its columns in *columns. Returns the
 * bytes taken. */
static size_t show_character(const char *text, char *shown, size_t *columns) {
    uint32_t c;
    size_t taken = decode(text, &c);
    int width = width_of(c);
    if (c == '\n' || c == '\r')
        strcpy(shown, c == '\n' ? "\\n" : "\\r");
    else if (c == '\t')
        strcpy(shown, "    ");
    else if (is_control(c) && c < 0x100)
        sprintf(shown, "\\x%02x", (unsigned)c);
    else if (is_control(c) || turns_direction(c))
        sprintf(shown, "\\u%04x", (unsigned)c);
    else if (c == REPLACEMENT || width < 0)
        strcpy(shown, "\xef\xbf\xbd");
    else
        sprintf(shown, "%.*s", (int)taken, text);
    bool escaped = c == '\t' || (shown[0] == '\\' && c != '\\');
    *columns = escaped ? strlen(shown) : width < 0 ? 1 : (size_t)width;
    return taken;
}

size_t text_visible(text_buffer *b, const char *text) {
    size_t total = 0, columns;
    char shown[16];
    while (*text) {
        text += show_character(text, shown, &columns);
        text_puts(b, shown);
        total += columns;
    }
    return total;
}

/* What a text of several lines keeps of its own at this place, where that is more than a character for show;
 * its bytes are in *taken, which is 0 otherwise. */
static const char *kept_in_lines(const char *text, size_t left, bool painted, size_t *taken) {
    bool ends_line = text[0] == '\n' || (left > 1 && text[0] == '\r' && text[1] == '\n');
    *taken = painted ? style_length(text, left) : 0;
    if (*taken)
        return text;
    *taken = ends_line || text[0] == '\0' ? 1 : 0;
    return text[0] == '\n' ? "\n" : text[0] == '\0' ? "\\x00" : "";
}

/* The text ends with a NUL, and may hold some. */
static void add_lines(text_buffer *b, const char *text, size_t length, bool painted) {
    size_t columns, taken;
    char shown[16];
    text_add(b, "", 0);
    for (const char *end = text + length; text < end; text += taken) {
        const char *kept = kept_in_lines(text, (size_t)(end - text), painted, &taken);
        bool is_code = taken > 1;
        if (is_code) {
            text_add(b, kept, taken);
        } else if (taken == 1) {
            text_puts(b, kept);
        } else {
            taken = show_character(text, shown, &columns);
            text_puts(b, shown);
        }
    }
}

void text_lines(text_buffer *b, const char *text, size_t length) {
    add_lines(b, text, length, false);
}

void text_painted_lines(text_buffer *b, const char *text, size_t length) {
    add_lines(b, text, length, true);
}

size_t text_columns(const char *text) {
    size_t total = 0, columns;
    char shown[16];
    while (*text) {
        text += show_character(text, shown, &columns);
        total += columns;
    }
    return total;
}

/* Goes back to the last point where the ellipsis still fits, when it turns out to be needed. */
size_t text_cut(text_buffer *b, const char *text, size_t limit) {
    size_t total = 0, columns, fitting = b->length, fitting_total = 0;
    char shown[16];
    while (*text) {
        text += show_character(text, shown, &columns);
        if (total + columns > limit) {
            b->length = fitting;
            if (limit > 0)
                text_puts(b, ELLIPSIS);
            return limit > 0 ? fitting_total + 1 : 0;
        }
        text_puts(b, shown);
        total += columns;
        if (total + 1 <= limit) {
            fitting = b->length;
            fitting_total = total;
        }
    }
    return total;
}

void text_utf8(text_buffer *b, const char *text) {
    while (*text) {
        uint32_t c;
        size_t taken = decode(text, &c);
        if (c == REPLACEMENT)
            text_puts(b, "\xef\xbf\xbd");
        else
            text_add(b, text, taken);
        text += taken;
    }
}

void text_json(text_buffer *b, const char *json) {
    while (*json) {
        uint32_t c;
        size_t taken = decode(json, &c);
        if (is_control(c) || turns_direction(c))
            text_printf(b, "\\u%04x", (unsigned)c);
        else
            text_add(b, json, taken);
        json += taken;
    }
}

enum { DAYS_FROM_HOURS = 100 }; /* fewer hours are told as such */

void text_duration(text_buffer *b, double seconds, bool live) {
    long whole = seconds > 0 ? (long)seconds : 0;
    if (seconds < 9.95 && !live)
        text_printf(b, "%.1fs", seconds > 0 ? seconds : 0.0);
    else if (whole < 60)
        text_printf(b, "%lds", whole);
    else if (whole < 3600)
        text_printf(b, "%ldm %02lds", whole / 60, whole % 60);
    else if (whole < DAYS_FROM_HOURS * 3600)
        text_printf(b, "%ldh %02ldm", whole / 3600, whole % 3600 / 60);
    else
        text_printf(b, "%ldd %02ldh", whole / 86400, whole % 86400 / 3600);
}

bool text_is_utf8(const char *text, size_t length) {
    size_t step = 1;
    for (size_t i = 0; i < length && step; i += step)
        step = sequence_length(text + i, length - i);
    return step != 0;
}
