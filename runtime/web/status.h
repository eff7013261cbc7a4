/* How an answer begins. */
#ifndef HOSTLER_WEB_STATUS_H
#define HOSTLER_WEB_STATUS_H

#include "base/text.h"

/* Adds the status line and Date. */
void status_add(text_buffer *out, unsigned status);

/* Adds a whole answer that refuses a request and announces the connection's end. */
void status_add_refusal(text_buffer *out, unsigned status, const char *problem);

/* Whether an answer with this status has a body (RFC 9110, 6.4.1). */
bool status_has_body(unsigned status);

#endif
