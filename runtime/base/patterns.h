/* A set of texts that are searched for all at once. The cost of a search does not grow with their number: it
 * is a look at six bytes for each byte of the text. */
#ifndef HOSTLER_BASE_PATTERNS_H
#define HOSTLER_BASE_PATTERNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATTERN_SHORTEST 6

typedef struct pattern pattern;

/* Zeroed, it is empty. */
typedef struct {
    pattern **slots; /* by a hash of the first bytes */
    size_t room, count;
    uint64_t filter[1024]; /* a bit for each hash that something begins with */
} pattern_set;

/* Adds a text. One that is shorter than PATTERN_SHORTEST, or is there already, adds nothing. */
void pattern_add(pattern_set *set, const char *text, size_t length);

/* Empties it, and overwrites what it had. */
void pattern_clear(pattern_set *set);

/* The length of the longest pattern that the text begins with, or 0. */
size_t pattern_at(const pattern_set *set, const char *text, size_t left);

/* How many bytes at the end of the text begin a pattern that goes on behind it; at least `least`, or 0. */
size_t pattern_begun(const pattern_set *set, const char *text, size_t length, size_t least);

/* How many bytes at the start of the text end a pattern that began before it; at least `least`, or 0. */
size_t pattern_ended(const pattern_set *set, const char *text, size_t length, size_t least);

/* Whether all of the text stands within a pattern that began before it and goes on behind it. */
bool pattern_holds(const pattern_set *set, const char *text, size_t length);

#endif
