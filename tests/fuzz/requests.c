/* Hostile requests: walks over the words of HTTP, with random bytes among them. What comes of one must not
 * depend on the pieces in which it came, and what is taken for a request must be one that nobody can read
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
    size_t count = strlen(word);
    memcpy(text + length, word, count);
    return length + count;
}

/* Mostly a request with something wrong in it: what is wrong from the beginning is refused there. */
static size_t make_request(char *text, unsigned (*random_below)(unsigned)) {
    static const char *const beginnings[] = {"GET / HTTP/1.1\r\nHost: a\r\n",
                                             "POST /a?b HTTP/1.1\r\nHost: a\r\n",
                                             "POST /%41 HTTP/1.0\r\n",
                                             "\r\nGET http://a/b HTTP/1.1\r\nHost: c\r\n",
                                             "OPTIONS * HTTP/1.1\r\nHost: a\r\n",
                                             ""};
    static const char *const words[] = {"\r\n",
                                        "\r\n",
                                        "\r\n\r\n",
                                        "\n",
                                        "\r",
                                        " ",
                                        "\t",
                                        ":",
                                        ": ",
                                        "0",
                                        "3",
                                        "a",
                                        "5\r\nabcde\r\n",
                                        "0\r\n\r\n",
                                        "GET",
                                        "/",
                                        "%",
                                        "%00",
                                        "HTTP/1.1",
                                        "Host: a\r\n",
                                        "Content-Length: 5\r\n",
                                        "Content-Length: ",
                                        "Content-Length",
                                        "Transfer-Encoding: chunked\r\n",
                                        "Transfer-Encoding: ",
                                        "chunked",
                                        ", ",
                                        ";",
                                        "Expect: 100-continue\r\n",
                                        "Connection: close\r\n",
                                        "X: y\r\n",
                                        "X",
                                        "99999999999999999999",
                                        "ffffffffffffffff",
                                        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"};
    size_t length = add(text, 0, beginnings[random_below(6)]), wanted = length + random_below(300);
    while (length < wanted) {
        if (random_below(12) == 0)
            text[length++] = (char)random_below(256);
        else
            length = add(text, length, words[random_below(sizeof words / sizeof *words)]);
    }
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
