/* Lua's patterns, matched so that it can be stopped: what a pattern takes may grow with a power of the text's
 * length, and the interpreter's own matcher hears no signal and no deadline meanwhile. What it lacks beside
 * that one is nothing; a NUL in a pattern is a byte like others. */
#ifndef HOSTLER_BASE_PATTERN_H
#define HOSTLER_BASE_PATTERN_H

#include "base/long_work.h"

#include <lua.h>
#include <stddef.h>

#define PATTERN_MOST_CAPTURES 32

typedef struct {
    lua_State *L;
    const char *text, *text_end, *pattern_end;
    int depth;
    long_work work;
    int count; /* of captures */
    struct {
        const char *start;
        ptrdiff_t length; /* or what pattern.c writes there while it is open, or for a position */
    } captures[PATTERN_MOST_CAPTURES];
} pattern_match;

/* Prepares for matches in a text, which has to stay, as has the pattern. */
void pattern_begin(pattern_match *m, lua_State *L, const char *text, size_t text_length,
                   const char *pattern_end);

/* Matches at one place: the end of what matches, or NULL. Raises for a malformed pattern, and what the
 * long_work.h raises. */
const char *pattern_try(pattern_match *m, const char *at, const char *pattern);

/* Pushes a capture of the last match, counted from 0; without any, 0 is all that matches, from..to. */
void pattern_push_capture(pattern_match *m, int index, const char *from, const char *to);

/* How many values a match gives. */
int pattern_count_values(const pattern_match *m);

#endif
