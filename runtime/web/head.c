/* The head of a request, one byte at a time; see head.h. Each state has its function, which says whether the
 * byte may stand there. */
#include "web/head.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    BEGIN,
    BLANK_END,
    METHOD,
    TARGET,
    VERSION,
    LINE_END,
    FIELD,
    NAME,
    VALUE_BEGIN,
    VALUE,
    LAST_END,
    COMPLETE,
    STATES
};

bool head_is_token(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_space(unsigned char c) {
    return c == ' ' || c == '\t';
}

/* RFC 9110, 5.5: visible characters, and bytes beyond ASCII. */
static bool is_value(unsigned char c) {
    return (c > ' ' && c != 0x7f) || is_space(c);
}

static bool refuse(head *h, unsigned status, const char *problem) {
    h->status = status;
    h->problem = problem;
    return false;
}

static bool go(head *h, unsigned state) {
    h->state = state;
    return true;
}

/* ---- the request line ---- */

static bool read_method(head *h, const char *text, unsigned char c) {
    (void)text;
    h->method.length = h->position - h->method.start;
    if (c == ' ' && h->method.length > 0) {
        h->target.start = h->position + 1;
        return go(h, TARGET);
    }
    if (!head_is_token(c))
        return refuse(h, 400, "a method has letters only");
    return h->method.length < HEAD_LONGEST_METHOD || refuse(h, 501, "no method is that long");
}

/* An empty line before a request is forgiven, one. */
static bool read_begin(head *h, const char *text, unsigned char c) {
    if (c == '\r' && h->position == 0)
        return go(h, BLANK_END);
    h->method.start = h->position;
    return go(h, METHOD) && read_method(h, text, c);
}

static bool read_blank_end(head *h, const char *text, unsigned char c) {
    (void)text;
    return c == '\n' ? go(h, BEGIN) : refuse(h, 400, "a request begins with its method");
}

/* A fragment is never sent; what is not printable ASCII has to be percent-encoded. */
static bool read_target(head *h, const char *text, unsigned char c) {
    (void)text;
    h->target.length = h->position - h->target.start;
    if (c == ' ' && h->target.length > 0)
        return go(h, VERSION);
    if (c <= ' ' || c >= 0x7f || c == '#')
        return refuse(h, 400,
                      "the target has a byte that has to be percent-encoded, or no version follows it");
    return h->target.length < HEAD_LONGEST_TARGET || refuse(h, 414, "the target is too long");
}

static bool read_version(head *h, const char *text, unsigned char c) {
    (void)text;
    static const char shape[] = "HTTP/0.0";
    unsigned at = h->position - (h->target.start + h->target.length + 1);
    bool digit = c >= '0' && c <= '9';
    if (at == sizeof shape - 1 && c == '\r')
        return h->major == 1 ? go(h, LINE_END) : refuse(h, 505, "this server speaks HTTP/1.1");
    if (at >= sizeof shape - 1 || (shape[at] == '0' ? !digit : c != (unsigned char)shape[at]))
        return refuse(h, 400, "the version is not one of HTTP");
    if (at == 5)
        h->major = c - '0';
    else if (at == 7)
        h->minor = c - '0';
    return true;
}

/* ---- the fields ---- */

static bool read_line_end(head *h, const char *text, unsigned char c) {
    (void)text;
    return c == '\n' ? go(h, FIELD) : refuse(h, 400, "a carriage return without its line feed");
}

static head_field *last(head *h) {
    return &h->fields[h->count - 1];
}

static bool add_field(head *h) {
    if (h->count == HEAD_MOST_FIELDS)
        return refuse(h, 431, "too many header fields");
    if (h->count == h->room) {
        unsigned room = h->room ? h->room * 2 : 8;
        head_field *larger = realloc(h->fields, room * sizeof *larger);
        if (!larger)
            return refuse(h, 503, "no memory for a request");
        h->fields = larger;
        h->room = room;
    }
    h->fields[h->count++] = (head_field){.name = {h->position, 0}};
    return true;
}

static bool read_field(head *h, const char *text, unsigned char c) {
    (void)text;
    if (c == '\r')
        return go(h, LAST_END);
    if (is_space(c))
        return refuse(h, 400, "a header field that goes on in the next line");
    if (!head_is_token(c))
        return refuse(h, 400, "a header field's name has a byte that no name has");
    return add_field(h) && go(h, NAME);
}

static bool read_name(head *h, const char *text, unsigned char c) {
    (void)text;
    if (c == ':') {
        last(h)->name.length = h->position - last(h)->name.start;
        last(h)->value.start = h->position + 1;
        return go(h, VALUE_BEGIN);
    }
    return head_is_token(c) || refuse(h, 400, "a header field's name has a byte that no name has");
}

static bool read_value(head *h, const char *text, unsigned char c) {
    if (c != '\r')
        return is_value(c) || refuse(h, 400, "a header field has a control character");
    head_span *value = &last(h)->value;
    unsigned end = h->position;
    while (end > value->start && is_space((unsigned char)text[end - 1]))
        end--;
    value->length = end - value->start;
    return go(h, LINE_END);
}

static bool read_value_begin(head *h, const char *text, unsigned char c) {
    if (is_space(c))
        return true;
    last(h)->value.start = h->position;
    return go(h, VALUE) && read_value(h, text, c);
}

static bool read_last_end(head *h, const char *text, unsigned char c) {
    (void)text;
    return c == '\n' ? go(h, COMPLETE) : refuse(h, 400, "a carriage return without its line feed");
}

/* ---- all of it ---- */

void head_expect_trailer(head *h) {
    head_free(h);
    *h = (head){.state = FIELD};
}

head_result head_read(head *h, const char *text, size_t length) {
    static bool (*const readers[STATES])(head *, const char *, unsigned char) = {
        [BEGIN] = read_begin,   [BLANK_END] = read_blank_end, [METHOD] = read_method,
        [TARGET] = read_target, [VERSION] = read_version,     [LINE_END] = read_line_end,
        [FIELD] = read_field,   [NAME] = read_name,           [VALUE_BEGIN] = read_value_begin,
        [VALUE] = read_value,   [LAST_END] = read_last_end,
    };
    while (h->state != COMPLETE && h->position < length) {
        if (h->position >= HEAD_LONGEST)
            refuse(h, 431, "the header fields are too large");
        if (h->status || !readers[h->state](h, text, (unsigned char)text[h->position]))
            return HEAD_WRONG;
        h->position++;
    }
    return h->state == COMPLETE ? HEAD_COMPLETE : HEAD_INCOMPLETE;
}

bool head_span_is(const char *text, head_span part, const char *lower) {
    return part.length == strlen(lower) && strncasecmp(text + part.start, lower, part.length) == 0;
}

unsigned head_find(const head *h, const char *text, const char *name, head_span *value) {
    unsigned found = 0;
    for (unsigned i = 0; i < h->count; i++) {
        if (head_span_is(text, h->fields[i].name, name)) {
            *value = h->fields[i].value;
            found++;
        }
    }
    return found;
}

void head_free(head *h) {
    free(h->fields);
    h->fields = NULL;
    h->count = h->room = 0;
}
