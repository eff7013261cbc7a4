/* A hash table of patterns by their first bytes, with a filter of the first six before it that fits into the
 * processor's fastest memory: almost every byte of a text is done with at that. By how many bytes a pattern
 * is found depends on its length, so that many with a common beginning ("dop_v1_") do not share a slot.
 *
 * What follows the first bytes is compared once, however often the text begins a pattern anew within it: what
 * a pattern and its own later parts have in common says how far the text is known already (Gusfield's Z
 * algorithm). */
#define _GNU_SOURCE /* memmem */
#include "base/patterns.h"

#include <stdlib.h>
#include <string.h>

#define LEAST_ROOM 64

/* The numbers of first bytes that a pattern is found by: the largest that it has. */
static const size_t PREFIXES[] = {PATTERN_SHORTEST, 16, 64};
#define KINDS (sizeof PREFIXES / sizeof *PREFIXES)

/* A text whose beginning is looked for. */
typedef struct {
    const char *text;
    size_t length;
    uint32_t
        *repeats; /* at each place, how many bytes from there on are its beginning again; NULL: not known */
} beginning;

/* The part of what is searched that is known to be the beginning. */
typedef struct {
    size_t from, to;
} known_part;

struct pattern {
    pattern *next;
    uint64_t hash, search; /* the search that `known` belongs to */
    beginning self;
    known_part known;
    char text[];
};

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (!memory)
        abort(); /* going on would show secrets */
    return memory;
}

/* ---- where a beginning stands ---- */

/* How many bytes the texts have in common from their start on. */
static size_t in_common(const char *left, const char *right, size_t most) {
    size_t same = 0;
    for (uint64_t a, b; same + sizeof a <= most; same += sizeof a) {
        memcpy(&a, left + same, sizeof a);
        memcpy(&b, right + same, sizeof b);
        if (a != b)
            break;
    }
    while (same < most && left[same] == right[same])
        same++;
    return same;
}

/* How many bytes of the text from `at` on are the beginning b; of what is searched with one `known`, places
 * are asked for in ascending order. */
static size_t begins_at(const beginning *b, known_part *known, const char *text, size_t length, size_t at) {
    size_t same = 0, most = length - at < b->length ? length - at : b->length;
    if (at < known->to && at > known->from) {
        size_t repeated = b->repeats[at - known->from];
        if (repeated < known->to - at)
            return repeated;
        same = known->to - at;
    }
    same += in_common(text + at + same, b->text + same, most - same);
    *known = (known_part){at, at + same};
    return same;
}

/* Each place needs only what is known of those before it. */
static void find_repeats(beginning *b) {
    known_part known = {0, 0};
    b->repeats = allocate(b->length, sizeof *b->repeats);
    for (size_t at = 1; at < b->length; at++)
        b->repeats[at] = (uint32_t)begins_at(b, &known, b->text, b->length, at);
}

static size_t search_beginning(beginning *b, known_part *known, const char *text, size_t length, size_t at) {
    if (!b->repeats && at < known->to && at > known->from)
        find_repeats(b);
    return begins_at(b, known, text, length, at);
}

/* The most bytes at the end of the text, from `at` on, that are the beginning b. */
static size_t begun_at_end(beginning *b, const char *text, size_t length, size_t at) {
    known_part known = {0, 0};
    for (; at < length; at++)
        if (text[at] == *b->text && search_beginning(b, &known, text, length, at) == length - at)
            return length - at;
    return 0;
}

/* ---- the table ---- */

/* Multiplication spreads the bytes over the upper bits. */
static uint64_t spread(uint64_t bytes) {
    return bytes * 0x9e3779b97f4a7c15u;
}

static uint64_t hash_of_six(const char *text) {
    uint32_t first;
    uint16_t rest;
    memcpy(&first, text, sizeof first);
    memcpy(&rest, text + sizeof first, sizeof rest);
    return spread((uint64_t)rest << 32 | first);
}

/* Of the first bytes, whose number is one of PREFIXES. */
static uint64_t hash_of(const char *text, size_t first) {
    uint64_t hash = hash_of_six(text), bytes;
    if (first == PATTERN_SHORTEST)
        return hash;
    for (size_t at = 0; at < first; at += sizeof bytes) {
        memcpy(&bytes, text + at, sizeof bytes);
        hash = spread((hash ^ hash >> 32 ^ bytes) + first);
    }
    return hash;
}

static size_t kind_of(size_t length) {
    size_t kind = KINDS - 1;
    while (PREFIXES[kind] > length)
        kind--;
    return kind;
}

static uint64_t *filter_word(const pattern_set *set, uint64_t hash) {
    return (uint64_t *)&set->filter[hash >> 54];
}

static uint64_t filter_bit(uint64_t hash) {
    return (uint64_t)1 << (hash >> 48 & 63);
}

/* By the uppermost bits, in which every byte counts. */
static pattern **slot_of(const pattern_set *set, uint64_t hash) {
    return &set->slots[hash >> (64 - __builtin_ctzll(set->room))];
}

static void grow(pattern_set *set) {
    pattern **before = set->slots;
    size_t room = set->room;
    set->room = room ? room * 2 : LEAST_ROOM;
    set->slots = allocate(set->room, sizeof(pattern *));
    for (size_t i = 0; i < room; i++) {
        for (pattern *p = before[i], *next; p; p = next) {
            next = p->next;
            pattern **slot = slot_of(set, p->hash);
            p->next = *slot;
            *slot = p;
        }
    }
    free(before);
}

static bool has(const pattern_set *set, uint64_t hash, const char *text, size_t length) {
    if (set->count == 0)
        return false;
    for (const pattern *p = *slot_of(set, hash); p; p = p->next)
        if (p->self.length == length && p->hash == hash && memcmp(p->text, text, length) == 0)
            return true;
    return false;
}

void pattern_add(pattern_set *set, const char *text, size_t length) {
    if (length < PATTERN_SHORTEST)
        return;
    size_t kind = kind_of(length);
    uint64_t hash = hash_of(text, PREFIXES[kind]), six = hash_of_six(text);
    if (has(set, hash, text, length))
        return;
    if (set->count == set->room)
        grow(set);
    pattern *added = allocate(1, sizeof *added + length), **slot = slot_of(set, hash);
    added->hash = hash;
    added->self = (beginning){added->text, length, NULL};
    memcpy(added->text, text, length);
    added->next = *slot;
    *slot = added;
    *filter_word(set, six) |= filter_bit(six);
    set->kinds |= 1u << kind;
    set->longest = length > set->longest ? length : set->longest;
    set->count++;
}

void pattern_clear(pattern_set *set) {
    for (size_t i = 0; i < set->room; i++) {
        while (set->slots[i]) {
            pattern *p = set->slots[i];
            set->slots[i] = p->next;
            explicit_bzero(p->text, p->self.length);
            free(p->self.repeats);
            free(p);
        }
    }
    free(set->slots);
    memset(set, 0, sizeof *set);
}

/* ---- whole patterns ---- */

pattern_search pattern_begin_search(pattern_set *set, const char *text, size_t length) {
    set->searches++;
    return (pattern_search){set, text, length};
}

static bool stands_at(pattern *p, const pattern_search *search, size_t place) {
    if (p->search != search->set->searches) {
        p->search = search->set->searches;
        p->known = (known_part){0, 0};
    }
    return search_beginning(&p->self, &p->known, search->text, search->length, place) == p->self.length;
}

static size_t longest_at(const pattern_search *search, size_t place, uint64_t hash) {
    size_t left = search->length - place, longest = 0;
    for (pattern *p = *slot_of(search->set, hash); p; p = p->next)
        if (p->hash == hash && p->self.length > longest && p->self.length <= left &&
            stands_at(p, search, place))
            longest = p->self.length;
    return longest;
}

size_t pattern_at(const pattern_search *search, size_t place) {
    const pattern_set *set = search->set;
    const char *text = search->text + place;
    size_t left = search->length - place, longest = 0;
    if (left < PATTERN_SHORTEST || set->count == 0)
        return 0;
    uint64_t six = hash_of_six(text);
    if (!(*filter_word(set, six) & filter_bit(six)))
        return 0;
    for (size_t kind = kind_of(left) + 1; kind > 0 && longest == 0; kind--)
        if (set->kinds & 1u << (kind - 1))
            longest = longest_at(search, place, hash_of(text, PREFIXES[kind - 1]));
    return longest;
}

/* ---- parts of patterns ---- */

bool pattern_holds(const pattern_set *set, const char *text, size_t length) {
    for (size_t i = 0; i < set->room; i++)
        for (const pattern *p = set->slots[i]; p; p = p->next)
            if (p->self.length > length && memmem(p->text, p->self.length, text, length))
                return true;
    return false;
}

size_t pattern_begun(const pattern_set *set, const char *text, size_t length, size_t least) {
    size_t longest = 0;
    for (size_t i = 0; i < set->room; i++) {
        for (pattern *p = set->slots[i]; p; p = p->next) {
            size_t at = length < p->self.length ? 0 : length - p->self.length + 1;
            size_t part = begun_at_end(&p->self, text, length, at);
            longest = part > longest ? part : longest;
        }
    }
    return longest < least ? 0 : longest;
}

size_t pattern_ended(const pattern_set *set, const char *text, size_t length, size_t least) {
    beginning start = {text, length < set->longest ? length : set->longest, NULL};
    size_t longest = 0;
    for (size_t i = 0; i < set->room && length > 0; i++) {
        for (const pattern *p = set->slots[i]; p; p = p->next) {
            size_t at = p->self.length > length ? p->self.length - length : 1;
            size_t part = begun_at_end(&start, p->text, p->self.length, at);
            longest = part > longest ? part : longest;
        }
    }
    free(start.repeats);
    return longest < least ? 0 : longest;
}
