/* See pattern.h. A match goes through the pattern item by item, and calls itself for what follows an item
 * that may match in more than one way. */
#include "base/pattern.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#define DEEPEST 200   /* items that may match in more than one way, and captures */
#define OPEN (-1)     /* the length of a capture that has not ended */
#define POSITION (-2) /* that of one which stands for its place */

static const char *match(pattern_match *m, const char *s, const char *p);

/* ---- items ---- */

static int byte_at(const char *at) {
    return (unsigned char)*at;
}

/* After the item that begins at p: a character, a class, or a set. */
static const char *end_of_item(const pattern_match *m, const char *p) {
    const char *end = m->pattern_end;
    char first = *p++;
    if (first == '%') {
        if (p == end)
            luaL_error(m->L, "malformed pattern (ends with '%%')");
        return p + 1;
    }
    if (first != '[')
        return p;
    p += p < end && *p == '^';
    for (bool begun = false; p == end || !begun || *p != ']'; begun = true) {
        if (p < end && *p == '%')
            p++;
        if (p++ >= end)
            luaL_error(m->L, "malformed pattern (missing ']')");
    }
    return p + 1;
}

static bool in_class(int c, int class) {
    bool is;
    switch (tolower(class)) {
    case 'a':
        is = isalpha(c);
        break;
    case 'c':
        is = iscntrl(c);
        break;
    case 'd':
        is = isdigit(c);
        break;
    case 'g':
        is = isgraph(c);
        break;
    case 'l':
        is = islower(c);
        break;
    case 'p':
        is = ispunct(c);
        break;
    case 's':
        is = isspace(c);
        break;
    case 'u':
        is = isupper(c);
        break;
    case 'w':
        is = isalnum(c);
        break;
    case 'x':
        is = isxdigit(c);
        break;
    case 'z':
        is = c == 0;
        break;
    default:
        return class == c;
    }
    return is != (bool)isupper(class);
}

/* The set from its '[' up to `end`, which is after its ']'. */
static bool in_set(int c, const char *set, const char *end) {
    const char *last = end - 1, *p = set + 1;
    bool wanted = *p != '^';
    p += !wanted;
    while (p < last) {
        if (*p == '%') {
            if (in_class(c, byte_at(p + 1)))
                return wanted;
            p += 2;
        } else if (p + 2 < last && p[1] == '-') {
            if (byte_at(p) <= c && c <= byte_at(p + 2))
                return wanted;
            p += 3;
        } else if (byte_at(p++) == c) {
            return wanted;
        }
    }
    return !wanted;
}

static bool matches_item(const pattern_match *m, const char *s, const char *item, const char *end) {
    if (s == m->text_end)
        return false;
    switch (*item) {
    case '.':
        return true;
    case '%':
        return in_class(byte_at(s), byte_at(item + 1));
    case '[':
        return in_set(byte_at(s), item, end);
    default:
        return *item == *s;
    }
}

/* ---- items that repeat ---- */

/* So many bytes of text and pattern have been looked at. */
static void count_steps(pattern_match *m, size_t count) {
    long_work_count(&m->work, count);
}

static void step(pattern_match *m) {
    count_steps(m, 1);
}

/* As many as there are, then fewer, down to `least`. */
static const char *match_most(pattern_match *m, const char *s, const char *item, const char *end, int least) {
    const char *last = s;
    for (; matches_item(m, last, item, end); last++)
        count_steps(m, (size_t)(end - item));
    for (; last - s >= least; last--) {
        const char *result = match(m, last, end + 1);
        if (result)
            return result;
    }
    return NULL;
}

static const char *match_fewest(pattern_match *m, const char *s, const char *item, const char *end) {
    for (;; s++) {
        const char *result = match(m, s, end + 1);
        if (result)
            return result;
        if (!matches_item(m, s, item, end))
            return NULL;
    }
}

/* ---- captures ---- */

static const char *open_capture(pattern_match *m, const char *s, const char *p, ptrdiff_t length) {
    if (m->count >= PATTERN_MOST_CAPTURES)
        luaL_error(m->L, "too many captures");
    m->captures[m->count].start = s;
    m->captures[m->count++].length = length;
    const char *result = match(m, s, p);
    if (!result)
        m->count--;
    return result;
}

static const char *close_capture(pattern_match *m, const char *s, const char *p) {
    int index = m->count - 1;
    while (index >= 0 && m->captures[index].length != OPEN)
        index--;
    if (index < 0)
        luaL_error(m->L, "invalid pattern capture");
    m->captures[index].length = s - m->captures[index].start;
    const char *result = match(m, s, p);
    if (!result)
        m->captures[index].length = OPEN;
    return result;
}

/* %1: the same text once more. */
static const char *match_again(pattern_match *m, const char *s, char digit) {
    int index = digit - '1';
    if (index < 0 || index >= m->count || m->captures[index].length == OPEN)
        luaL_error(m->L, "invalid capture index");
    ptrdiff_t length = m->captures[index].length;
    count_steps(m, length > 0 ? (size_t)length : 1);
    bool same = length != POSITION && m->text_end - s >= length &&
                memcmp(m->captures[index].start, s, (size_t)length) == 0;
    return same ? s + length : NULL;
}

/* ---- %b and %f ---- */

static const char *match_balance(pattern_match *m, const char *s, const char *p) {
    if (m->pattern_end - p < 2)
        luaL_error(m->L, "unbalanced pattern");
    if (s == m->text_end || *s != p[0])
        return NULL;
    int depth = 1;
    for (s++; s < m->text_end; s++) {
        step(m);
        if (*s == p[1] && --depth == 0)
            return s + 1;
        depth += *s == p[0] && p[0] != p[1];
    }
    return NULL;
}

static bool is_frontier(pattern_match *m, const char *s, const char *p, const char **end) {
    if (p == m->pattern_end || *p != '[')
        luaL_error(m->L, "missing '[' after '%%f' in pattern");
    *end = end_of_item(m, p);
    count_steps(m, (size_t)(*end - p));
    int before = s == m->text ? 0 : byte_at(s - 1), here = s == m->text_end ? 0 : byte_at(s);
    return !in_set(before, p, *end) && in_set(here, p, *end);
}

/* ---- the whole ---- */

/* Items behind a '%' that are no classes: true when p began with one. Then s and p are after it; s is NULL
 * when it does not match. */
static bool match_special(pattern_match *m, const char **s, const char **p) {
    const char *after = *p + 2;
    if (**p != '%' || after > m->pattern_end)
        return false;
    switch ((*p)[1]) {
    case 'b':
        *s = match_balance(m, *s, after);
        *p = after + 2;
        return true;
    case 'f':
        *s = is_frontier(m, *s, after, p) ? *s : NULL;
        return true;
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        *s = match_again(m, *s, (*p)[1]);
        *p = after;
        return true;
    default:
        return false;
    }
}

/* One item with what says how often: true when the rest is still to be matched, from s and p on. */
static bool match_item(pattern_match *m, const char **s, const char **p) {
    const char *item = *p, *end = end_of_item(m, item), *at = *s;
    count_steps(m, (size_t)(end - item));
    switch (end < m->pattern_end ? *end : '\0') {
    case '*':
        *s = match_most(m, at, item, end, 0);
        return false;
    case '+':
        *s = match_most(m, at, item, end, 1);
        return false;
    case '-':
        *s = match_fewest(m, at, item, end);
        return false;
    case '?':
        *s = matches_item(m, at, item, end) ? match(m, at + 1, end + 1) : NULL;
        if (*s)
            return false;
        *s = at;
        *p = end + 1;
        return true;
    default:
        *s = matches_item(m, at, item, end) ? at + 1 : NULL;
        *p = end;
        return *s != NULL;
    }
}

static const char *match_from(pattern_match *m, const char *s, const char *p) {
    while (s && p < m->pattern_end) {
        step(m);
        if (*p == '(') {
            bool position = p + 1 < m->pattern_end && p[1] == ')';
            return position ? open_capture(m, s, p + 2, POSITION) : open_capture(m, s, p + 1, OPEN);
        }
        if (*p == ')')
            return close_capture(m, s, p + 1);
        if (*p == '$' && p + 1 == m->pattern_end)
            return s == m->text_end ? s : NULL;
        if (!match_special(m, &s, &p) && !match_item(m, &s, &p))
            return s;
    }
    return s;
}

static const char *match(pattern_match *m, const char *s, const char *p) {
    if (++m->depth > DEEPEST)
        luaL_error(m->L, "pattern too complex");
    const char *result = match_from(m, s, p);
    m->depth--;
    return result;
}

void pattern_begin(pattern_match *m, lua_State *L, const char *text, size_t text_length,
                   const char *pattern_end) {
    m->L = L;
    m->text = text;
    m->text_end = text + text_length;
    m->pattern_end = pattern_end;
    m->work = (long_work){.L = L};
    m->count = m->depth = 0;
}

const char *pattern_try(pattern_match *m, const char *at, const char *pattern) {
    m->count = m->depth = 0;
    return match(m, at, pattern);
}

int pattern_count_values(const pattern_match *m) {
    return m->count > 0 ? m->count : 1;
}

void pattern_push_capture(pattern_match *m, int index, const char *from, const char *to) {
    if (index >= m->count) {
        if (index > 0)
            luaL_error(m->L, "invalid capture index");
        lua_pushlstring(m->L, from, (size_t)(to - from));
    } else if (m->captures[index].length == POSITION) {
        lua_pushinteger(m->L, m->captures[index].start - m->text + 1);
    } else {
        if (m->captures[index].length == OPEN)
            luaL_error(m->L, "unfinished capture");
        lua_pushlstring(m->L, m->captures[index].start, (size_t)m->captures[index].length);
    }
}
