/* What a head says of its message; see framing.h. Sections are those of RFC 9112. */
#include "web/framing.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define MOST_DIGITS 18 /* of a length: any number of them fits into 64 bits */

static bool refuse(framing *f, unsigned status, const char *problem) {
    f->status = status;
    f->problem = problem;
    return false;
}

/* ---- the target, 3.2 ---- */

static head_span rest(head_span whole, unsigned from) {
    return (head_span){whole.start + from, whole.length - from};
}

/* Cuts the part off before the first of these characters. */
static head_span before(const char *text, head_span part, const char *ends) {
    for (unsigned i = 0; i < part.length; i++)
        if (strchr(ends, text[part.start + i]))
            return (head_span){part.start, i};
    return part;
}

/* The path's percent-encoding is whole, and encodes no NUL. */
static bool check_path(framing *f, const char *text) {
    const char *path = text + f->path.start;
    for (unsigned i = 0; i < f->path.length; i++) {
        if (path[i] != '%')
            continue;
        if (i + 2 >= f->path.length || !isxdigit((unsigned char)path[i + 1]) ||
            !isxdigit((unsigned char)path[i + 2]))
            return refuse(f, 400, "a percent sign in the path encodes nothing");
        if (path[i + 1] == '0' && path[i + 2] == '0')
            return refuse(f, 400, "the path holds a NUL");
    }
    return true;
}

static bool split_target(framing *f, const head *h, const char *text) {
    head_span target = h->target;
    const char *start = text + target.start;
    unsigned scheme = strncasecmp(start, "http://", 7) == 0    ? 7
                      : strncasecmp(start, "https://", 8) == 0 ? 8
                                                               : 0;
    if (head_span_is(text, target, "*") && head_span_is(text, h->method, "options")) {
        f->path = target;
        return true;
    }
    if (scheme) {
        f->authority = before(text, rest(target, scheme), "/?");
        target = rest(target, scheme + f->authority.length);
        if (f->authority.length == 0)
            return refuse(f, 400, "the target names no host");
    } else if (*start != '/') {
        return refuse(f, 400, "the target is neither a path nor a URL");
    }
    f->path = before(text, target, "?");
    if (f->path.length < target.length)
        f->query = rest(target, f->path.length + 1);
    return check_path(f, text);
}

/* ---- Host, 3.2 ---- */

static bool is_host(const char *text, head_span host) {
    for (unsigned i = 0; i < host.length; i++) {
        unsigned char c = (unsigned char)text[host.start + i];
        if (!isalnum(c) && !strchr("-._~%!$&'()*+,;=:[]", c))
            return false;
    }
    return host.length > 0;
}

static bool check_host(framing *f, const head *h, const char *text) {
    head_span host = {0, 0};
    unsigned count = head_find(h, text, "host", &host);
    if (count == 0 && h->minor > 0)
        return refuse(f, 400, "there is no Host");
    if (count > 1)
        return refuse(f, 400, "there is more than one Host");
    if ((count && !is_host(text, host)) || (f->authority.length && !is_host(text, f->authority)))
        return refuse(f, 400, "the host is none");
    return true;
}

/* ---- the body, 6.3 ---- */

static bool read_length(framing *f, const char *text, head_span value) {
    for (unsigned i = 0; i < value.length; i++) {
        char c = text[value.start + i];
        if (c < '0' || c > '9')
            return refuse(f, 400, "Content-Length is not a number");
        if (i >= MOST_DIGITS)
            return refuse(f, 413, "the body is too large");
        f->length = f->length * 10 + (uint64_t)(c - '0');
    }
    return value.length > 0 || refuse(f, 400, "Content-Length is empty");
}

/* Another coding is none that this server knows, when chunks come last; else nobody knows where it ends. */
static bool read_coding(framing *f, const char *text, head_span value) {
    f->chunked = head_span_is(text, value, "chunked");
    if (f->chunked)
        return true;
    head_span first = before(text, value, ",");
    bool ends = value.length > 9 && first.length < value.length - 8 &&
                !head_span_is(text, first, "chunked") &&
                strncasecmp(text + value.start + value.length - 9, ", chunked", 9) == 0;
    return ends ? refuse(f, 501, "of the transfer codings only chunked is known")
                : refuse(f, 400, "the transfer coding does not say where the body ends");
}

static bool read_body(framing *f, const head *h, const char *text) {
    head_span length = {0, 0}, coding = {0, 0};
    unsigned lengths = head_find(h, text, "content-length", &length);
    unsigned codings = head_find(h, text, "transfer-encoding", &coding);
    if (lengths > 1)
        return refuse(f, 400, "there is more than one Content-Length");
    if (lengths && codings)
        return refuse(f, 400, "both Content-Length and Transfer-Encoding say how long the body is");
    if (codings > 1 || (codings && h->minor == 0))
        return refuse(f, 400, "the transfer coding does not say where the body ends");
    if (codings)
        return read_coding(f, text, coding);
    return !lengths || read_length(f, text, length);
}

/* ---- the rest ---- */

/* Whether any field of this name has the word in its list. */
static bool lists(const head *h, const char *text, const char *name, const char *word) {
    for (unsigned i = 0; i < h->count; i++) {
        if (!head_span_is(text, h->fields[i].name, name))
            continue;
        for (head_span list = h->fields[i].value; list.length > 0;) {
            head_span item = before(text, list, ", \t");
            if (head_span_is(text, item, word))
                return true;
            list = rest(list, item.length < list.length ? item.length + 1 : item.length);
        }
    }
    return false;
}

static bool read_expectation(framing *f, const head *h, const char *text) {
    head_span value = {0, 0};
    if (h->minor == 0 || !head_find(h, text, "expect", &value) || value.length == 0)
        return true;
    f->expects_continue = head_span_is(text, value, "100-continue");
    return f->expects_continue || refuse(f, 417, "of the expectations only 100-continue is known");
}

framing framing_of(const head *h, const char *text) {
    framing f = {0};
    f.keep_alive =
        h->minor > 0 ? !lists(h, text, "connection", "close") : lists(h, text, "connection", "keep-alive");
    if (head_span_is(text, h->method, "connect"))
        refuse(&f, 501, "this server is no proxy");
    else if (split_target(&f, h, text) && check_host(&f, h, text) && read_body(&f, h, text))
        read_expectation(&f, h, text);
    return f;
}
