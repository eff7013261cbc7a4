/* Hostile requests: lines of HTTP that fit together or not, spoiled here and there. What comes of one must
 * not depend on the pieces in which it came, and what is taken for a request must be one that nobody can read
 * otherwise. */
#include "requests.h"

#include "web/request.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST 1000
#define LIMIT 40 /* bytes of a body */

static size_t add(char *text, size_t length, const char *word) {
    for (; *word; word++)
        text[length++] = *word;
    return length;
}

#define PICK(list) (list)[random_below(sizeof(list) / sizeof *(list))]

/* Lines that make a request, more or less. */
static size_t make_lines(char *text, unsigned (*random_below)(unsigned)) {
    static const char *const first[] = {"GET / HTTP/1.1\r\n",     "POST /a?b HTTP/1.1\r\n",
                                        "POST /%41 HTTP/1.0\r\n", "\r\nGET http://a/b HTTP/1.1\r\n",
                                        "OPTIONS * HTTP/1.1\r\n", "PUT /b HTTP/1.1\r\n"};
    static const char *const fields[] = {"Host: a\r\n",
                                         "Content-Length: 5\r\n",
                                         "Transfer-Encoding: chunked\r\n",
                                         "Expect: 100-continue\r\n",
                                         "Connection: close\r\n",
                                         "X: y z\r\n",
                                         "X:\r\n",
                                         "Content-Length: 0\r\n"};
    static const char *const bodies[] = {"",
                                         "abcde",
                                         "5\r\nabcde\r\n0\r\n\r\n",
                                         "0\r\nX: y\r\n\r\n",
                                         "a;b=c\r\n0123456789\r\n",
                                         "abcdeGET / HTTP/1.1\r\nHost: a\r\n\r\n"};
    size_t length = add(text, 0, PICK(first));
    if (random_below(4))
        length = add(text, length, fields[0]);
    for (unsigned count = random_below(4); count > 0; count--)
        length = add(text, length, PICK(fields));
    length = add(text, length, "\r\n");
    return add(text, length, PICK(bodies));
}

/* A word or a byte in the place of some bytes. */
static size_t spoil(char *text, size_t length, unsigned (*random_below)(unsigned)) {
    static const char *const words[] = {"\r\n",
                                        "\n",
                                        "\r",
                                        " ",
                                        "\t",
                                        "\r\n ",
                                        ":",
                                        "0",
                                        "9",
                                        "%00",
                                        ", ",
                                        ";",
                                        "chunked",
                                        "\r\nContent-Length: 3\r\n",
                                        "\r\nTransfer-Encoding: chunked\r\n",
                                        "99999999999999999999",
                                        "ffffffffffffffff",
                                        "\x7f",
                                        "#"};
    char byte[2] = {(char)random_below(256), 0};
    const char *word = random_below(4) ? PICK(words) : byte;
    size_t at = random_below((unsigned)length), gone = random_below(3), count = *word ? strlen(word) : 1;
    gone = gone < length - at ? gone : length - at;
    memmove(text + at + count, text + at + gone, length - at - gone);
    text[at] = *word;
    add(text, at, word);
    return length - gone + count;
}

static size_t make_request(char *text, unsigned (*random_below)(unsigned)) {
    size_t length = make_lines(text, random_below);
    for (unsigned count = random_below(4); count > 0; count--)
        length = spoil(text, length, random_below);
    return length;
}

/* Reads it in pieces of at most so many bytes; each piece is on the heap alone, so that reading past it is
 * found. */
static request_result read_in_pieces(request *r, byte_queue *in, const char *text, size_t length, size_t most,
                                     unsigned (*random_below)(unsigned)) {
    request_result result = REQUEST_INCOMPLETE;
    while (length > 0 && result == REQUEST_INCOMPLETE) {
        size_t count = 1 + random_below((unsigned)most);
        count = count < length ? count : length;
        bytes_add(in, text, count);
        result = request_read(r, in, LIMIT);
        text += count;
        length -= count;
    }
    return result;
}

static void fail(const char *what, const char *text, size_t length) {
    fprintf(stderr, "%s: ", what);
    fwrite(text, 1, length, stderr);
    abort();
}

static bool same_text(const text_buffer *a, const text_buffer *b) {
    return a->length == b->length && (a->length == 0 || memcmp(a->text, b->text, a->length) == 0);
}

/* What a proxy in front may have read otherwise. */
static void check_complete(const request *r, const char *text, size_t length) {
    head_span value = {0, 0};
    unsigned lengths = head_find(&r->head, r->text, "content-length", &value);
    unsigned codings = head_find(&r->head, r->text, "transfer-encoding", &value);
    if (lengths + codings > 1)
        fail("two lengths", text, length);
    unsigned hosts = head_find(&r->head, r->text, "host", &value);
    if (hosts > 1 || (hosts == 0 && r->head.minor > 0))
        fail("no Host, or two", text, length);
    if (memchr(r->text, '\0', r->head.position) || strstr(r->text, "\n ") || strstr(r->text, "\n\t"))
        fail("a NUL or a folded line", text, length);
    for (const char *c = strchr(r->text, '\n'); c; c = strchr(c + 1, '\n'))
        if (c == r->text || c[-1] != '\r')
            fail("a bare line feed", text, length);
    if (r->body.length > LIMIT)
        fail("a body beyond the limit", text, length);
}

void requests_check(unsigned (*random_below)(unsigned)) {
    char text[LONGEST];
    size_t length = make_request(text, random_below);
    request whole = {0}, pieces = {0};
    byte_queue rest = {0}, more = {0};
    request_result one = read_in_pieces(&whole, &rest, text, length, 1, random_below);
    request_result other = read_in_pieces(&pieces, &more, text, length, LONGEST, random_below);
    if (one != other || whole.status != pieces.status)
        fail("it depends on the pieces", text, length);
    if (one == REQUEST_COMPLETE &&
        (!same_text(&whole.body, &pieces.body) || whole.head.count != pieces.head.count))
        fail("its body depends on the pieces", text, length);
    if (one == REQUEST_COMPLETE)
        check_complete(&whole, text, length);
    if (one == REQUEST_WRONG && (whole.status < 400 || !whole.problem))
        fail("refused without a reason", text, length);
    request_clear(&whole);
    request_clear(&pieces);
    bytes_free(&rest);
    bytes_free(&more);
}
