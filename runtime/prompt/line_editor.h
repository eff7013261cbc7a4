/* A line that a person types at the terminal, edited by libedit, without ever stopping the loop.
 *
 * libedit reads nothing by itself: it is given one whole key at a time (its unbuffered mode, with a function
 * of ours to read characters), and draws. Two things it cannot do are done here: lines of others appear above
 * the line that is being typed, however many rows that takes, and the search in the history does not wait for
 * keys. There is one terminal, so there is one editor. */
#ifndef HOSTLER_PROMPT_LINE_EDITOR_H
#define HOSTLER_PROMPT_LINE_EDITOR_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum {
    LINE_GOES_ON,
    LINE_ENTERED,  /* Enter: the line is whole */
    LINE_COMPLETE, /* Tab: the person wants to know how it may go on; the line stays open */
    LINE_ENDED     /* Ctrl-D on an empty line */
} line_outcome;

/* Begins a line, or goes on with the one that is open. The label is what stands before it; \1 begins and ends
 * what takes no columns in it: colours. */
bool line_editor_begin(const char *label);

/* Takes a byte that was typed. */
line_outcome line_editor_take(char byte);

/* The line so far, and the bytes before the cursor. The text is the caller's. */
char *line_editor_text(size_t *cursor);

/* Puts text at the cursor, as if it had been typed. */
void line_editor_insert(const char *text);

/* Shows whole lines above the line. Of many in a short time, those that follow the first are shown together,
 * a moment later. */
void line_editor_above(const char *bytes, size_t length);

/* Ends the line and gives the terminal back. What was typed stays on the screen, and `last_words` after it.
 */
void line_editor_end(const char *last_words);

/* Remembers a line for the keys that look back. */
void line_editor_remember(const char *line);

/* Pushes a table: read(label) -> "line" or "complete", text, cursor; insert(text); text() -> text, cursor;
 * remember(line); close(last_words). */
int line_editor_lua_open(lua_State *L);

#endif
