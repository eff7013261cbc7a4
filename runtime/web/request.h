/* A request as it comes in: from the bytes of a connection to a whole request, or to the reason why not. It
 * knows of no socket. */
#ifndef HOSTLER_WEB_REQUEST_H
#define HOSTLER_WEB_REQUEST_H

#include "web/bytes.h"
#include "web/chunks.h"
#include "web/framing.h"

typedef enum { REQUEST_INCOMPLETE, REQUEST_COMPLETE, REQUEST_WRONG } request_result;

/* Zeroed, nothing of it has come. */
typedef struct {
    head head;        /* its parts are parts of `text` */
    char *text;       /* the head's bytes; NULL until it is complete */
    framing framing;  /* once the head is complete */
    text_buffer body; /* as the client meant it: without chunks */
    unsigned phase;   /* how far it is read */
    chunks chunks;
    head trailer;
    bool awaited;        /* the client waits for 100 Continue before it sends the body */
    unsigned status;     /* of REQUEST_WRONG: what to answer; 413: the head is right, the body too large */
    const char *problem; /* and why; a static text, nothing of what was sent */
} request;

/* Takes from `in` what is of this request; what follows it stays. A body larger than `limit` bytes is refused
 * as soon as that is known. */
request_result request_read(request *r, byte_queue *in, size_t limit);

/* Bytes of memory that it holds. */
size_t request_memory(const request *r);

/* Frees what it holds; it is zeroed. */
void request_clear(request *r);

#endif
