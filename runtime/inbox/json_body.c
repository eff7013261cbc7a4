/* What a JSON body may hold before it is parsed; see inbox.h. Nothing is checked here that the parser checks:
 * what is no JSON passes through. */
#include "base/text.h"
#include "inbox/inbox.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEEPEST 64
#define MOST_VALUES 100000
#define TOO_LARGE 9007199254740992.0 /* 2^53: from here on whole numbers are no doubles of their own */
#define LONGEST_NUMBER 40            /* cJSON reads 63 characters of one */

typedef struct {
    const char *at, *end, *kept; /* up to `kept` all is in `out` */
    int depth;
    size_t values;
    text_buffer out;
    const char *problem;
} scan;

/* Puts text in the place of what is being read, which began at `begin` and has been passed. */
static void replace(scan *s, const char *begin, const char *text, size_t length) {
    text_add(&s->out, s->kept, (size_t)(begin - s->kept));
    text_add(&s->out, text, length);
    s->kept = s->at;
}

static void pass_string(scan *s) {
    for (s->at++; s->at < s->end && *s->at != '"'; s->at++)
        if (*s->at == '\\')
            s->at++;
    s->at = s->at < s->end ? s->at + 1 : s->end;
}

static void quote(scan *s, const char *begin, size_t length) {
    text_buffer quoted = {0};
    text_puts(&quoted, "\"");
    text_add(&quoted, begin, length);
    text_puts(&quoted, "\"");
    replace(s, begin, quoted.text, quoted.length);
    text_free(&quoted);
}

static void pass_number(scan *s) {
    const char *begin = s->at;
    while (s->at < s->end && *s->at && strchr("0123456789+-.eE", *s->at))
        s->at++;
    size_t length = (size_t)(s->at - begin), digits = strspn(begin + (*begin == '-'), "0123456789");
    double value = strtod(begin, NULL);
    bool whole = digits + (*begin == '-') == length && begin[*begin == '-'] != '0';
    if (whole && fabs(value) >= TOO_LARGE) {
        quote(s, begin, length);
    } else if (!isfinite(value)) {
        s->problem = "a number in it is too large";
    } else if (length > LONGEST_NUMBER) {
        char text[32];
        int written = snprintf(text, sizeof text, "%.17g", value);
        replace(s, begin, text, (size_t)written);
    }
}

static void step(scan *s) {
    switch (*s->at) {
    case '"':
        pass_string(s);
        return;
    case '[':
    case '{':
        if (++s->depth > DEEPEST)
            s->problem = "it is nested too deeply";
        break;
    case ']':
    case '}':
        s->depth--;
        break;
    case ',':
        if (++s->values > MOST_VALUES)
            s->problem = "it has too many values";
        break;
    default:
        if (*s->at == '-' || (*s->at >= '0' && *s->at <= '9')) {
            pass_number(s);
            return;
        }
    }
    s->at++;
}

static int json_lua(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    scan s = {.at = text, .end = text + length, .kept = text};
    while (s.at < s.end && !s.problem)
        step(&s);
    if (s.problem) {
        text_free(&s.out);
        lua_pushnil(L);
        lua_pushstring(L, s.problem);
        return 2;
    }
    text_add(&s.out, s.kept, (size_t)(s.end - s.kept));
    lua_pushlstring(L, s.out.length ? s.out.text : "", s.out.length);
    text_free(&s.out);
    return 1;
}

void json_body_add(lua_State *L) {
    lua_pushcfunction(L, json_lua);
    lua_setfield(L, -2, "json");
}
