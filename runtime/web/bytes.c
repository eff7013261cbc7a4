/* See bytes.h. */
#include "web/bytes.h"

#include <string.h>

/* What was taken goes when it is the larger part: each byte is moved once at most, and memory stays bounded
 * by what waits. */
static void compact(byte_queue *q) {
    size_t left = bytes_length(q);
    if (q->taken < left)
        return;
    if (left)
        memmove(q->text.text, q->text.text + q->taken, left);
    q->text.length = left;
    q->taken = 0;
}

void bytes_add(byte_queue *q, const char *bytes, size_t length) {
    if (length == 0)
        return;
    compact(q);
    text_add(&q->text, bytes, length);
}

void bytes_take(byte_queue *q, size_t count) {
    q->taken += count;
    if (q->taken == q->text.length)
        bytes_free(q);
}

void bytes_trim(byte_queue *q) {
    size_t left = bytes_length(q);
    if (!left || q->text.room <= 4 * (left + 1))
        return;
    compact(q);
    text_set_room(&q->text, q->text.length + 1);
}

void bytes_free(byte_queue *q) {
    text_free(&q->text);
    q->taken = 0;
}
