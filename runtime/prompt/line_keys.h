/* What a terminal sends, cut into keys: a character, or an escape sequence, each whole. What is pasted comes
 * as one piece, where the terminal marks it (bracketed paste): it is text, whatever it holds. */
#ifndef HOSTLER_PROMPT_LINE_KEYS_H
#define HOSTLER_PROMPT_LINE_KEYS_H

#include "base/text.h"

#define LINE_KEY_ROOM 32

/* What a terminal is told to mark pastes, and to stop that. */
#define LINE_PASTE_ON "\033[?2004h"
#define LINE_PASTE_OFF "\033[?2004l"

typedef enum { KEY_UNFINISHED, KEY_TYPED, KEY_PASTED } key_state;

/* Zeroed, it is at the beginning of a key. */
typedef struct {
    char key[LINE_KEY_ROOM]; /* NUL-terminated */
    size_t length;
    text_buffer pasted; /* with \n between lines, none at its end, and no other control character but tabs */
    bool taken, pasting;
} line_keys;

/* Takes the next byte. The key, or the paste, is there until the next call. */
key_state line_keys_take(line_keys *keys, char byte);

#endif
