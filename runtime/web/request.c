/* A request as it comes in; see request.h. */
#include "web/request.h"

#include <stdlib.h>
#include <string.h>

enum { IN_HEAD, IN_BODY, IN_CHUNKS, IN_TRAILER, DONE, REFUSED, PHASES };

static unsigned refuse(request *r, unsigned status, const char *problem) {
    r->status = status;
    r->problem = problem;
    text_free(&r->body);
    return REFUSED;
}

/* The phase that a complete head leads to. */
static unsigned after_head(request *r, size_t limit, bool nothing_follows) {
    r->framing = framing_of(&r->head, r->text);
    if (r->framing.status)
        return refuse(r, r->framing.status, r->framing.problem);
    if (r->framing.length > limit)
        return refuse(r, 413, "the request's body is too large");
    if (!r->framing.chunked && r->framing.length == 0)
        return DONE;
    r->awaited = r->framing.expects_continue && nothing_follows;
    return r->framing.chunked ? IN_CHUNKS : IN_BODY;
}

static unsigned read_head(request *r, byte_queue *in, size_t limit) {
    head_result result = head_read(&r->head, bytes_first(in), bytes_length(in));
    if (result == HEAD_WRONG)
        return refuse(r, r->head.status, r->head.problem);
    if (result == HEAD_INCOMPLETE)
        return IN_HEAD;
    size_t length = r->head.position;
    r->text = malloc(length + 1);
    if (!r->text)
        return refuse(r, 503, "no memory for a request");
    memcpy(r->text, bytes_first(in), length);
    r->text[length] = '\0';
    bytes_take(in, length);
    return after_head(r, limit, bytes_length(in) == 0);
}

/* Grows the body by doubling, but not beyond what may come of it. */
static void add_to_body(request *r, const char *bytes, size_t count, size_t most) {
    size_t needed = r->body.length + count + 1;
    if (needed > r->body.room)
        text_set_room(&r->body, needed * 2 < most + 1 ? needed * 2 : most + 1);
    text_add(&r->body, bytes, count);
}

static unsigned read_body(request *r, byte_queue *in, size_t limit) {
    (void)limit;
    uint64_t left = r->framing.length - r->body.length;
    size_t count = bytes_length(in) < left ? bytes_length(in) : (size_t)left;
    add_to_body(r, bytes_first(in), count, (size_t)r->framing.length);
    bytes_take(in, count);
    return count == left ? DONE : IN_BODY;
}

static unsigned read_chunks(request *r, byte_queue *in, size_t limit) {
    size_t used, count;
    chunks_result result = chunks_read(&r->chunks, bytes_first(in), bytes_length(in), &used, &count);
    if (result == CHUNKS_WRONG)
        return refuse(r, 400, "a chunk of the body is not formed as one");
    if (result == CHUNKS_DATA) {
        if (count > limit - r->body.length)
            return refuse(r, 413, "the request's body is too large");
        add_to_body(r, bytes_first(in) + used - count, count, limit);
    }
    bytes_take(in, used);
    if (result == CHUNKS_END)
        head_expect_trailer(&r->trailer);
    return result == CHUNKS_END ? IN_TRAILER : IN_CHUNKS;
}

/* What stands there is checked and forgotten: nothing that decides about a request may come so late. */
static unsigned read_trailer(request *r, byte_queue *in, size_t limit) {
    (void)limit;
    head_result result = head_read(&r->trailer, bytes_first(in), bytes_length(in));
    if (result == HEAD_WRONG)
        return refuse(r, r->trailer.status, r->trailer.problem);
    if (result == HEAD_INCOMPLETE)
        return IN_TRAILER;
    bytes_take(in, r->trailer.position);
    return DONE;
}

request_result request_read(request *r, byte_queue *in, size_t limit) {
    static unsigned (*const readers[PHASES])(request *, byte_queue *, size_t) = {
        [IN_HEAD] = read_head,
        [IN_BODY] = read_body,
        [IN_CHUNKS] = read_chunks,
        [IN_TRAILER] = read_trailer,
    };
    size_t before;
    unsigned phase;
    do {
        before = bytes_length(in);
        phase = r->phase;
        if (before > 0 && readers[phase])
            r->phase = readers[phase](r, in, limit);
    } while (r->phase < DONE && (bytes_length(in) != before || r->phase != phase));
    return r->phase == DONE ? REQUEST_COMPLETE : r->phase == REFUSED ? REQUEST_WRONG : REQUEST_INCOMPLETE;
}

static size_t fields_of(const head *h) {
    return h->room * sizeof *h->fields;
}

size_t request_memory(const request *r) {
    size_t text = r->text ? r->head.position + 1 : 0;
    return text + r->body.room + fields_of(&r->head) + fields_of(&r->trailer);
}

void request_clear(request *r) {
    head_free(&r->head);
    head_free(&r->trailer);
    free(r->text);
    text_free(&r->body);
    *r = (request){0};
}
