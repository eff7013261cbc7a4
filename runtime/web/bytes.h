/* Bytes that go in behind and out in front. */
#ifndef HOSTLER_WEB_BYTES_H
#define HOSTLER_WEB_BYTES_H

#include "base/text.h"

/* Zeroed, it is empty; an empty one holds no memory. */
typedef struct {
    text_buffer text;
    size_t taken;
} byte_queue;

static inline size_t bytes_length(const byte_queue *q) {
    return q->text.length - q->taken;
}

/* Valid until the next call that adds or takes; NULL may be of an empty one. */
static inline const char *bytes_first(const byte_queue *q) {
    return q->text.text ? q->text.text + q->taken : NULL;
}

void bytes_add(byte_queue *q, const char *bytes, size_t length);

/* Lets go of the first `count` bytes. */
void bytes_take(byte_queue *q, size_t count);

/* Gives back the memory that what waits does not need. */
void bytes_trim(byte_queue *q);

void bytes_free(byte_queue *q);

#endif
