/* A hash table of patterns by their first six bytes, with a filter before it that fits into the processor's
 * fastest memory: almost every byte of a text is done with at that. */
#define _GNU_SOURCE /* memmem */
#include "base/patterns.h"

#include <stdlib.h>
#include <string.h>

#define LEAST_ROOM 64

struct pattern {
    pattern *next;
    size_t length;
    char text[];
};

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (!memory)
        abort(); /* going on would show secrets */
    return memory;
}

/* Multiplication spreads the six bytes over the upper bits. */
static uint64_t hash_of(const char *text) {
    uint32_t first;
    uint16_t rest;
    memcpy(&first, text, sizeof first);
    memcpy(&rest, text + sizeof first, sizeof rest);
    return ((uint64_t)rest << 32 | first) * 0x9e3779b97f4a7c15u;
}

static uint64_t *filter_word(const pattern_set *set, uint64_t hash) {
    return (uint64_t *)&set->filter[hash >> 54];
}

static uint64_t filter_bit(uint64_t hash) {
    return (uint64_t)1 << (hash >> 48 & 63);
}

static pattern **slot_of(const pattern_set *set, uint64_t hash) {
    return &set->slots[hash >> 16 & (set->room - 1)];
}

static void grow(pattern_set *set) {
    pattern **before = set->slots;
    size_t room = set->room;
    set->room = room ? room * 2 : LEAST_ROOM;
    set->slots = allocate(set->room, sizeof(pattern *));
    for (size_t i = 0; i < room; i++) {
        for (pattern *p = before[i], *next; p; p = next) {
            next = p->next;
            pattern **slot = slot_of(set, hash_of(p->text));
            p->next = *slot;
            *slot = p;
        }
    }
    free(before);
}

static bool has(const pattern_set *set, const char *text, size_t length) {
    if (set->count == 0)
        return false;
    for (const pattern *p = *slot_of(set, hash_of(text)); p; p = p->next)
        if (p->length == length && memcmp(p->text, text, length) == 0)
            return true;
    return false;
}

void pattern_add(pattern_set *set, const char *text, size_t length) {
    if (length < PATTERN_SHORTEST || has(set, text, length))
        return;
    if (set->count == set->room)
        grow(set);
    uint64_t hash = hash_of(text);
    pattern *added = allocate(1, sizeof *added + length), **slot = slot_of(set, hash);
    added->length = length;
    memcpy(added->text, text, length);
    added->next = *slot;
    *slot = added;
    *filter_word(set, hash) |= filter_bit(hash);
    set->count++;
}

void pattern_clear(pattern_set *set) {
    for (size_t i = 0; i < set->room; i++) {
        while (set->slots[i]) {
            pattern *p = set->slots[i];
            set->slots[i] = p->next;
            explicit_bzero(p->text, p->length);
            free(p);
        }
    }
    free(set->slots);
    memset(set, 0, sizeof *set);
}

size_t pattern_at(const pattern_set *set, const char *text, size_t left) {
    if (left < PATTERN_SHORTEST)
        return 0;
    uint64_t hash = hash_of(text);
    if (!(*filter_word(set, hash) & filter_bit(hash)))
        return 0;
    size_t longest = 0;
    for (const pattern *p = *slot_of(set, hash); p; p = p->next)
        if (p->length > longest && p->length <= left && memcmp(p->text, text, p->length) == 0)
            longest = p->length;
    return longest;
}

/* The most bytes, fewer than the pattern has, that are its beginning and the end of the text. */
static size_t overlap_at_end(const pattern *p, const char *text, size_t length) {
    for (size_t part = p->length - 1 < length ? p->length - 1 : length; part > 0; part--)
        if (text[length - part] == p->text[0] && memcmp(text + length - part, p->text, part) == 0)
            return part;
    return 0;
}

static size_t overlap_at_start(const pattern *p, const char *text, size_t length) {
    for (size_t part = p->length - 1 < length ? p->length - 1 : length; part > 0; part--)
        if (text[part - 1] == p->text[p->length - 1] && memcmp(text, p->text + p->length - part, part) == 0)
            return part;
    return 0;
}

static size_t longest_overlap(const pattern_set *set, const char *text, size_t length, size_t least,
                              size_t (*overlap)(const pattern *, const char *, size_t)) {
    size_t longest = 0;
    for (size_t i = 0; i < set->room; i++) {
        for (const pattern *p = set->slots[i]; p; p = p->next) {
            size_t part = overlap(p, text, length);
            longest = part > longest ? part : longest;
        }
    }
    return longest < least ? 0 : longest;
}

bool pattern_holds(const pattern_set *set, const char *text, size_t length) {
    for (size_t i = 0; i < set->room; i++)
        for (const pattern *p = set->slots[i]; p; p = p->next)
            if (p->length > length && memmem(p->text, p->length, text, length))
                return true;
    return false;
}

size_t pattern_begun(const pattern_set *set, const char *text, size_t length, size_t least) {
    return longest_overlap(set, text, length, least, overlap_at_end);
}

size_t pattern_ended(const pattern_set *set, const char *text, size_t length, size_t least) {
    return longest_overlap(set, text, length, least, overlap_at_start);
}
