/* What is hidden of a text: see scrub.h.
 *
 * The text is searched twice: as it is, and squeezed, without what sets the bytes of a form apart: the ends
 * of lines and their escapes, indents, the spaces, colons and marks between hexadecimal digits. */
#define _GNU_SOURCE /* vasprintf, explicit_bzero */
#include "base/scrub.h"

#include "base/patterns.h"
#include "base/secret_forms.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHORTEST_SQUEEZED 8
#define SHORTEST_PART 4
#define MASK_LENGTH (sizeof SCRUB_MASK - 1)
/* How much more than what is wanted is looked at, before the rest of a long text is left alone. */
#define MARGIN 65536
/* What was escaped again and again has as many before its "n". */
#define MOST_BACKSLASHES 8
/* Of a mark that was cut: "\\u00" is the longest. */
#define LONGEST_MARK 4
/* Between two questions whether somebody waits for the end. */
#define PIECE 65536
#define STEPS_OF_LINE 5000 /* to remember it */

static pattern_set as_it_is, squeezed;

static void *allocate(size_t size) {
    void *memory = malloc(size);
    if (!memory)
        abort(); /* going on would show secrets */
    return memory;
}

/* ---- squeezing ---- */

static bool sets_apart(char byte) {
    return byte == ' ' || byte == '\n' || byte == ':' || byte == '%' || byte == '\t' || byte == '\r';
}

/* The length of the mark before the end of a line that goes on ("=" of quoted-printable, "\" of a shell), of
 * an escape of such an end ("\n", "\\r"), or of what stands before two digits ("\x", "\u00"); or 0. */
static size_t mark_length(const char *text, size_t left) {
    size_t at = 0;
    while (at < left && at < MOST_BACKSLASHES && text[at] == '\\')
        at++;
    bool ends_line = at < left && (text[at] == '\n' || text[at] == '\r');
    if (at == 0)
        return left > 1 && text[0] == '=' && (text[1] == '\n' || text[1] == '\r');
    if (ends_line)
        return at;
    if (at < left && strchr("nrtx", text[at]) && text[at])
        return at + 1;
    return left - at >= 3 && memcmp(text + at, "u00", 3) == 0 ? at + 3 : 0;
}

/* Where the next byte stands that counts, from `at` on. */
static size_t next_kept(const char *text, size_t length, size_t at) {
    while (at < length) {
        size_t mark = sets_apart(text[at])                  ? 1
                      : text[at] == '\\' || text[at] == '=' ? mark_length(text + at, length - at)
                                                            : 0;
        if (mark == 0)
            break;
        at += mark;
    }
    return at;
}

/* Whether a way through a text is to end, at this place. */
static bool must_end(long_work *work, size_t place) {
    return work && place % PIECE == 0 && long_work_must_end(work, PIECE / 4);
}

static char *squeeze(long_work *work, const char *text, size_t length, size_t *squeezed_length) {
    char *out = allocate(length + 1);
    size_t used = 0;
    for (size_t at = next_kept(text, length, 0); at < length; at = next_kept(text, length, at + 1)) {
        out[used] = text[at];
        if (must_end(work, used++))
            break;
    }
    *squeezed_length = used;
    return out;
}

/* ---- what is remembered ---- */

static void remember_form(void *unused, const char *form, size_t length) {
    (void)unused;
    pattern_add(&as_it_is, form, length);
    size_t left;
    char *close = squeeze(NULL, form, length, &left);
    if (left >= SHORTEST_SQUEEZED)
        pattern_add(&squeezed, close, left);
    explicit_bzero(close, length);
    free(close);
}

static void remember(const char *text, size_t length) {
    if (length >= PATTERN_SHORTEST)
        secret_forms(text, length, remember_form, NULL);
}

/* The lines of a key or a certificate are secret one by one too: what prints them may cut or indent them. */
bool scrub_remember_as(long_work *work, const char *text, size_t length) {
    remember(text, length);
    const char *end = text + length;
    for (const char *line = text, *newline; line < end; line = newline + 1) {
        newline = memchr(line, '\n', (size_t)(end - line));
        if (!newline && line == text)
            return true;
        newline = newline ? newline : end;
        size_t visible = (size_t)(newline - line);
        remember(line, visible > 0 && line[visible - 1] == '\r' ? visible - 1 : visible);
        if (work && long_work_must_end(work, STEPS_OF_LINE))
            return false;
    }
    return true;
}

void scrub_remember(const char *text, size_t length) {
    scrub_remember_as(NULL, text, length);
}

void scrub_forget(void) {
    pattern_clear(&as_it_is);
    pattern_clear(&squeezed);
}

/* ---- what is hidden ---- */

typedef struct {
    size_t from, to;
} range;

/* In ascending order, none of them reaching into another. */
typedef struct {
    range *list;
    size_t count, room;
} ranges;

/* Adds one that begins no earlier than the last, or that ends no earlier. Overlapping ones become one. */
static void add_range(ranges *r, size_t from, size_t to) {
    while (r->count > 0 && from < r->list[r->count - 1].to) {
        range last = r->list[--r->count];
        from = last.from < from ? last.from : from;
        to = last.to > to ? last.to : to;
    }
    if (r->count == r->room) {
        r->room = r->room ? r->room * 2 : 16;
        r->list = realloc(r->list, r->room * sizeof *r->list);
        if (!r->list)
            abort();
    }
    r->list[r->count++] = (range){from, to};
}

/* Those of both, which are freed. */
static ranges unite(ranges a, ranges b) {
    ranges united = {0};
    for (size_t i = 0, j = 0; i < a.count || j < b.count;) {
        bool of_a = j == b.count || (i < a.count && a.list[i].from <= b.list[j].from);
        range next = of_a ? a.list[i++] : b.list[j++];
        add_range(&united, next.from, next.to);
    }
    free(a.list);
    free(b.list);
    return united;
}

/* Which ends of a text were cut, so that a part of a secret may stand there. */
enum { CUT_NOWHERE = 0, CUT_BEFORE = 1, CUT_BEHIND = 2 };

static void find_whole(long_work *work, ranges *found, pattern_set *set, const char *text, size_t length) {
    pattern_search search = pattern_begin_search(set, text, length);
    for (size_t i = 0; i + PATTERN_SHORTEST <= length && !must_end(work, i); i++) {
        size_t secret = pattern_at(&search, i);
        if (secret)
            add_range(found, i, i + secret);
    }
}

static ranges find_plain(long_work *work, const char *text, size_t length, int cut) {
    ranges found = {0};
    size_t part = cut & CUT_BEFORE ? pattern_ended(&as_it_is, text, length, SHORTEST_PART) : 0;
    if (cut == (CUT_BEFORE | CUT_BEHIND) && length >= SHORTEST_PART && pattern_holds(&as_it_is, text, length))
        part = length;
    if (part)
        add_range(&found, 0, part);
    find_whole(work, &found, &as_it_is, text, length);
    part = cut & CUT_BEHIND ? pattern_begun(&as_it_is, text, length, SHORTEST_PART) : 0;
    if (part)
        add_range(&found, length - part, length);
    return found;
}

/* How much at the start of squeezed text, which was cut, is the rest of a secret: perhaps behind what is left
 * of a mark. */
static size_t rest_of_squeezed(const char *close, size_t left) {
    for (size_t mark = 0; mark < LONGEST_MARK && mark < left; mark++) {
        size_t part = pattern_ended(&squeezed, close + mark, left - mark, SHORTEST_SQUEEZED);
        if (part)
            return mark + part;
    }
    return 0;
}

/* How much at the end of it is the first of a secret: perhaps before the first of a mark. */
static size_t first_of_squeezed(const char *close, size_t left) {
    for (size_t mark = 0; mark < LONGEST_MARK && mark < left; mark++) {
        size_t part = pattern_begun(&squeezed, close, left - mark, SHORTEST_SQUEEZED);
        if (part)
            return mark + part;
    }
    return 0;
}

/* Whether it is a part of one secret, perhaps with what is left of marks at its ends. */
static bool is_within_squeezed(const char *close, size_t left) {
    for (size_t before = 0; before < LONGEST_MARK; before++)
        for (size_t behind = 0; behind < LONGEST_MARK; behind++)
            if (left >= before + SHORTEST_SQUEEZED + behind &&
                pattern_holds(&squeezed, close + before, left - before - behind))
                return true;
    return false;
}

/* Makes of the places of squeezed bytes those in the text that they were squeezed from. */
static void place_in_text(ranges *found, const char *text, size_t length) {
    size_t at = next_kept(text, length, 0), number = 0;
    for (range *r = found->list; found->count > 0 && r < found->list + found->count; r++) {
        for (; number < r->from; number++)
            at = next_kept(text, length, at + 1);
        r->from = at;
        for (; number < r->to - 1; number++)
            at = next_kept(text, length, at + 1);
        r->to = at + 1;
    }
}

static ranges find_squeezed(long_work *work, const char *text, size_t length, int cut) {
    ranges found = {0};
    size_t left;
    char *close = squeeze(work, text, length, &left);
    size_t part = cut & CUT_BEFORE ? rest_of_squeezed(close, left) : 0;
    if (cut == (CUT_BEFORE | CUT_BEHIND) && is_within_squeezed(close, left))
        part = left;
    if (part)
        add_range(&found, 0, part);
    find_whole(work, &found, &squeezed, close, left);
    part = cut & CUT_BEHIND ? first_of_squeezed(close, left) : 0;
    if (part)
        add_range(&found, left - part, left);
    place_in_text(&found, text, length);
    free(close);
    return found;
}

static char *mask(const char *text, size_t length, const ranges *hidden, size_t *masked_length) {
    char *out = allocate(length + hidden->count * MASK_LENGTH + 1);
    size_t used = 0, at = 0;
    for (size_t i = 0; i < hidden->count; i++) {
        size_t shown = hidden->list[i].from - at;
        memcpy(out + used, text + at, shown);
        memcpy(out + used + shown, SCRUB_MASK, MASK_LENGTH);
        used += shown + MASK_LENGTH;
        at = hidden->list[i].to;
    }
    memcpy(out + used, text + at, length - at);
    used += length - at;
    out[used] = '\0';
    if (masked_length)
        *masked_length = used;
    return out;
}

static char *scrub_part(long_work *work, const char *text, size_t length, int cut, size_t *scrubbed_length) {
    ranges hidden = {0};
    if (as_it_is.count > 0)
        hidden = unite(find_plain(work, text, length, cut), find_squeezed(work, text, length, cut));
    char *out = work && work->must_end ? NULL : mask(text, length, &hidden, scrubbed_length);
    free(hidden.list);
    return out;
}

char *scrub(const char *text, size_t length, size_t *scrubbed_length) {
    return scrub_part(NULL, text, length, CUT_NOWHERE, scrubbed_length);
}

char *scrub_as(long_work *work, const char *text, size_t length, size_t *scrubbed_length) {
    return scrub_part(work, text, length, CUT_NOWHERE, scrubbed_length);
}

/* ---- scrubbed, then cut ---- */

/* Where the mask begins that stands around this place, or the place itself. */
static size_t before_mask(const char *text, size_t length, size_t place) {
    for (size_t back = 1; back < MASK_LENGTH && back <= place; back++)
        if (place - back + MASK_LENGTH <= length && memcmp(text + place - back, SCRUB_MASK, MASK_LENGTH) == 0)
            return place - back;
    return place;
}

char *scrub_beginning(const char *text, size_t length, size_t most, size_t *scrubbed_length) {
    size_t looked_at = length > most && length - most > MARGIN ? most + MARGIN : length, left;
    char *out = scrub_part(NULL, text, looked_at, CUT_BEFORE | CUT_BEHIND, &left);
    size_t end = left;
    if (left > most) {
        end = before_mask(out, left, most);
        while (end > 0 && most - end < 4 && !text_begins_character(out[end]))
            end--;
    }
    out[end] = '\0';
    if (scrubbed_length)
        *scrubbed_length = end;
    return out;
}

char *scrub_end(const char *text, size_t length, size_t most, size_t *scrubbed_length) {
    size_t skipped = length > most && length - most > MARGIN ? length - most - MARGIN : 0, left;
    char *out = scrub_part(NULL, text + skipped, length - skipped, CUT_BEFORE | CUT_BEHIND, &left);
    if (left > most) {
        size_t from = before_mask(out, left, left - most);
        if (from < left - most)
            from += MASK_LENGTH;
        while (from < left && from < left - most + 4 && !text_begins_character(out[from]))
            from++;
        left -= from;
        memmove(out, out + from, left);
    }
    out[left] = '\0';
    if (scrubbed_length)
        *scrubbed_length = left;
    return out;
}

void scrub_format(char *out, size_t size, const char *format, ...) {
    va_list arguments;
    char *whole;
    va_start(arguments, format);
    int length = vasprintf(&whole, format, arguments);
    va_end(arguments);
    if (length < 0)
        abort();
    char *clean = scrub_beginning(whole, (size_t)length, size - 1, NULL);
    snprintf(out, size, "%s", clean);
    free(clean);
    free(whole);
}
