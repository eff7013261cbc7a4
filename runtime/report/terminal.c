/* Draws the live part; see terminal.h. The escape sequences are those of ECMA-48 that every terminal knows.
 */
#define _GNU_SOURCE /* strcasestr */
#include "report/terminal.h"

#include "base/fit.h"
#include "base/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define HIDE_CURSOR "\033[?25l"
#define SHOW_CURSOR "\033[?25h"
#define ERASE_BELOW "\033[J"
#define ERASE_LINE "\033[K"

bool terminal_wants_colour(void) {
    const char *no_colour = getenv("NO_COLOR");
    return !no_colour || !*no_colour;
}

/* Where nothing is said about the locale, as in a bare ssh session, terminals nowadays are UTF-8. */
bool terminal_shows_unicode(void) {
    static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *terminal_type = getenv("TERM");
    if (terminal_type && strcmp(terminal_type, "linux") == 0)
        return false;
    for (int i = 0; i < 3; i++) {
        const char *locale = getenv(variables[i]);
        if (locale && *locale)
            return strcasestr(locale, "utf-8") || strcasestr(locale, "utf8");
    }
    return true;
}

void terminal_open(terminal *t, FILE *out) {
    memset(t, 0, sizeof *t);
    t->out = out;
    t->lasting.colour = t->live.colour = terminal_wants_colour();
    terminal_begin(t);
}

void terminal_begin(terminal *t) {
    struct winsize size;
    bool known = ioctl(fileno(t->out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
    t->columns = known ? size.ws_col : 80;
    t->rows = known ? size.ws_row : 24;
    text_clear(&t->live);
    t->live_count = 0;
}

bool terminal_has_room(const terminal *t) {
    return t->live_count < t->rows - 2 && t->live_count < TERMINAL_MOST_LINES;
}

void terminal_line(terminal *t, size_t columns) {
    text_puts(&t->live, ERASE_LINE "\n");
    t->live_columns[t->live_count++] = (unsigned short)columns;
}

/* Rows that the drawn lines take now: a terminal that became narrower has wrapped them. */
static int rows_above(const terminal *t) {
    int rows = 0;
    for (int i = 0; i < t->drawn_count; i++)
        rows += t->drawn_columns[i] > t->columns ? (t->drawn_columns[i] + t->columns - 1) / t->columns : 1;
    return rows;
}

void terminal_write(FILE *out, const char *bytes, size_t length) {
    output_flush(out);
    while (length > 0) {
        ssize_t count = write(fileno(out), bytes, length);
        if (count < 0 && errno != EINTR && errno != EAGAIN)
            return;
        bytes += count > 0 ? count : 0;
        length -= count > 0 ? (size_t)count : 0;
    }
}

static void (*show_above)(const char *bytes, size_t length);

void terminal_set_above(void (*above)(const char *bytes, size_t length)) {
    show_above = above;
}

void terminal_print(FILE *out, const char *bytes, size_t length) {
    if (show_above && isatty(fileno(out))) {
        show_above(bytes, length);
        return;
    }
    fwrite(bytes, 1, length, out);
    output_flush(out);
}

void terminal_page(FILE *out, const char *text) {
    struct winsize size = {0};
    text_buffer page = {0};
    if (isatty(fileno(out)) && ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        fit_lines(&page, text, size.ws_col);
    else
        text_puts(&page, text);
    terminal_print(out, page.text, page.length);
    text_free(&page);
}

/* Lines are overwritten in place, so that nothing flickers; only lasting lines, which may wrap, need a clear
 * screen. */
void terminal_draw(terminal *t) {
    bool same = t->live.length == t->drawn.length &&
                (t->live.length == 0 || memcmp(t->live.text, t->drawn.text, t->live.length) == 0);
    if (t->held && show_above && t->lasting.length > 0) {
        show_above(t->lasting.text, t->lasting.length);
        text_clear(&t->lasting);
    }
    if (t->held || (same && t->lasting.length == 0))
        return;
    text_buffer frame = {0};
    int up = rows_above(t);
    text_puts(&frame, HIDE_CURSOR "\r");
    if (up > 0)
        text_printf(&frame, "\033[%dA", up);
    if (t->lasting.length > 0)
        text_puts(&frame, ERASE_BELOW);
    text_add(&frame, t->lasting.length ? t->lasting.text : "", t->lasting.length);
    text_add(&frame, t->live.length ? t->live.text : "", t->live.length);
    text_puts(&frame, ERASE_BELOW SHOW_CURSOR);
    terminal_write(t->out, frame.text, frame.length);
    text_free(&frame);
    text_clear(&t->lasting);
    text_clear(&t->drawn);
    text_add(&t->drawn, t->live.length ? t->live.text : "", t->live.length);
    memcpy(t->drawn_columns, t->live_columns, sizeof t->drawn_columns);
    t->drawn_count = t->live_count;
}

void terminal_hold(terminal *t) {
    terminal_begin(t);
    terminal_draw(t);
    t->held = true;
}

void terminal_release(terminal *t) {
    t->held = false;
}

void terminal_close(terminal *t) {
    t->held = false;
    terminal_begin(t);
    terminal_draw(t);
    text_free(&t->lasting);
    text_free(&t->live);
    text_free(&t->drawn);
}
