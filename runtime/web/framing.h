/* What the fields of a head say of the message: where its body ends, and whether the connection goes on. What
 * could be read in two ways is refused, for a proxy before this server may have read it the other way. */
#ifndef HOSTLER_WEB_FRAMING_H
#define HOSTLER_WEB_FRAMING_H

#include "web/head.h"

#include <stdint.h>

typedef struct {
    unsigned status;     /* 0, or what to refuse the request with */
    const char *problem; /* and why; a static text */
    bool chunked, expects_continue, keep_alive;
    uint64_t length;     /* of a body that is not chunked, in bytes */
    head_span path;      /* of the target, percent-encoded, without the query */
    head_span query;     /* without its question mark */
    head_span authority; /* the target's own, when it has one, which counts before Host */
} framing;

/* Of a complete head. */
framing framing_of(const head *h, const char *text);

#endif
