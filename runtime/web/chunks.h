/* A body in chunks (RFC 9112, 7.1), read as it comes and strictly: sizes in hexadecimal digits, CR LF. What a
 * chunk's extension says is passed over; the lines after the last chunk are head.c's. */
#ifndef HOSTLER_WEB_CHUNKS_H
#define HOSTLER_WEB_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

typedef enum { CHUNKS_MORE, CHUNKS_DATA, CHUNKS_END, CHUNKS_WRONG } chunks_result;

/* Zeroed, it expects the first chunk. */
typedef struct {
    unsigned state, digits, extension;
    uint64_t left; /* of the chunk */
} chunks;

/* Reads on until a run of the body, its end, or all is read. *used bytes are done with; of CHUNKS_DATA the
 * body's are the last *count of these. */
chunks_result chunks_read(chunks *c, const char *bytes, size_t length, size_t *used, size_t *count);

#endif
