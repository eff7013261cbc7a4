/* See fit.h. */
#include "base/fit.h"

#include <stdlib.h>
#include <string.h>

#define STEP 2

/* Columns of a part of a text. */
static size_t columns_of(const char *from, const char *to) {
    text_buffer part = {0};
    text_add(&part, from, (size_t)(to - from));
    size_t columns = text_columns(part.text);
    text_free(&part);
    return columns;
}

static const char *skip_blanks(const char *at, const char *end) {
    while (at < end && *at == ' ')
        at++;
    return at;
}

/* The column below which a line goes on. */
static size_t hanging_indent(const char *line, const char *end, size_t columns) {
    const char *first = skip_blanks(line, end);
    size_t indent = (size_t)(first - line) + STEP;
    for (const char *gap = strstr(first, "  "); gap && gap < end; gap = strstr(gap, "  ")) {
        gap = skip_blanks(gap, end);
        size_t column = columns_of(line, gap);
        if (gap == end || column > columns * 2 / 3)
            break;
        indent = column;
    }
    return indent < columns * 2 / 3 ? indent : STEP;
}

/* The end of the longest beginning that fits and ends before a blank; of the first word where none does.
 * Leading blanks belong to it. */
static const char *beginning_that_fits(const char *line, const char *end, size_t room) {
    const char *fitting = NULL, *at = skip_blanks(line, end);
    while (at < end) {
        const char *blank = memchr(at, ' ', (size_t)(end - at));
        const char *word_end = blank ? blank : end;
        if (fitting && columns_of(line, word_end) > room)
            return fitting;
        fitting = word_end;
        at = skip_blanks(word_end, end);
    }
    return end;
}

/* A line that takes `left` columns, more than there are. */
static void fit_line(text_buffer *b, const char *line, const char *end, size_t left, size_t columns) {
    size_t indent = hanging_indent(line, end, columns), room = columns;
    while (left > room) {
        const char *stop = beginning_that_fits(line, end, room);
        text_add(b, line, (size_t)(stop - line));
        const char *next = skip_blanks(stop, end);
        if (next == end)
            return;
        left -= columns_of(line, next);
        line = next;
        text_puts(b, "\n");
        text_spaces(b, indent);
        room = columns - indent;
    }
    text_add(b, line, (size_t)(end - line));
}

void fit_lines(text_buffer *b, const char *text, size_t columns) {
    while (*text) {
        const char *end = text + strcspn(text, "\n");
        size_t taken = columns_of(text, end);
        if (taken <= columns)
            text_add(b, text, (size_t)(end - text));
        else
            fit_line(b, text, end, taken, columns);
        if (*end)
            text_puts(b, "\n");
        text = end + (*end != '\0');
    }
}
