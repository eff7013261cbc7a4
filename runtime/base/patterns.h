/* A set of texts that are searched for all at once. The cost of a search does not grow with their number, nor
 * with their length: it is a look at six bytes for each byte of the text, also where the text begins one of
 * them again and again. */
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
    size_t room, count, longest;
    unsigned kinds;        /* a bit for each length of the first bytes that some pattern is found by */
    uint64_t searches;     /* begun so far */
    uint64_t filter[1024]; /* a bit for each hash that something begins with */
} pattern_set;

/* One way through a text, while the set stays as it is; of a set there is one at a time. */
typedef struct {
    pattern_set *set;
    const char *text;
    size_t length;
} pattern_search;

/* Adds a text. One that is shorter than PATTERN_SHORTEST, or is there already, adds nothing. */
void pattern_add(pattern_set *set, const char *text, size_t length);

/* Empties it, and overwrites what it had. */
void pattern_clear(pattern_set *set);

pattern_search pattern_begin_search(pattern_set *set, const char *text, size_t length);

/* The length of the longest pattern that stands at this place of the text, or 0. Places are asked for in
 * ascending order. */
size_t pattern_at(const pattern_search *search, size_t place);

/* How many bytes at the end of the text begin a pattern that goes on behind it; at least `least`, or 0. */
size_t pattern_begun(const pattern_set *set, const char *text, size_t length, size_t least);

/* How many bytes at the start of the text end a pattern that began before it; at least `least`, or 0. */
size_t pattern_ended(const pattern_set *set, const char *text, size_t length, size_t least);

/* Whether all of the text stands within a pattern that began before it and goes on behind it. */
bool pattern_holds(const pattern_set *set, const char *text, size_t length);

#endif
