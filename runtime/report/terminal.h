/* A terminal with a live part: lines that stay scroll up for good, and below them some lines are drawn again
 * and again.
 *
 * A frame is one write. Between frames the cursor is visible and stands below the live part, so that whatever
 * ends the process, also SIGKILL, leaves a usable terminal. */
#ifndef HOSTLER_REPORT_TERMINAL_H
#define HOSTLER_REPORT_TERMINAL_H

#include "base/text.h"

#include <stdio.h>

#define TERMINAL_MOST_LINES 200

typedef struct {
    FILE *out;
    text_buffer lasting; /* whole lines that are to stay; the next frame prints and clears them */
    text_buffer live;    /* whole lines of the live part, built by terminal_line */
    text_buffer drawn;   /* the live part on the screen */
    unsigned short drawn_columns[TERMINAL_MOST_LINES]; /* of each line on the screen */
    unsigned short live_columns[TERMINAL_MOST_LINES];
    int drawn_count, live_count;
    int columns, rows; /* of the screen, asked for by terminal_measure */
    bool held;         /* a prompt has the terminal: nothing is written */
} terminal;

void terminal_open(terminal *t, FILE *out);
void terminal_close(terminal *t);

/* Asks for the size of the screen, and begins a live part with no lines. */
void terminal_begin(terminal *t);

/* True when one more line fits into the live part. */
bool terminal_has_room(const terminal *t);

/* The line just added to t->live is complete, and takes this many columns: fewer than t->columns. */
void terminal_line(terminal *t, size_t columns);

/* Shows the lasting lines and the live part. */
void terminal_draw(terminal *t);

/* Removes the live part and writes nothing until terminal_release. */
void terminal_hold(terminal *t);
void terminal_release(terminal *t);

/* Writes to a terminal at once, past what is buffered. */
void terminal_write(FILE *out, const char *bytes, size_t length);

/* Writes whole lines to a stream. While a line is being typed, those for the screen go above it. */
void terminal_print(FILE *out, const char *bytes, size_t length);

/* Writes a page: on a terminal its lines are broken to fit the screen. */
void terminal_page(FILE *out, const char *text);

/* Who shows lines above the one that is being typed; NULL when none is. */
void terminal_set_above(void (*above)(const char *bytes, size_t length));

/* True when colours are wanted (NO_COLOR is not set), and when the terminal shows more than ASCII. */
bool terminal_wants_colour(void);
bool terminal_shows_unicode(void);

#endif
