/* The head of a request, read as RFC 9112 has it and no other way: what two readers could understand
 * differently is refused. Every line ends in CR LF, a method and a field's name are tokens, nothing stands
 * between a name and its colon, no line is folded, no control character is anywhere.
 *
 * It is read as it comes, each byte once; what is wrong with it is known at the first wrong byte. */
#ifndef HOSTLER_WEB_HEAD_H
#define HOSTLER_WEB_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#define HEAD_LONGEST (32 * 1024) /* all of it, in bytes */
#define HEAD_LONGEST_TARGET (8 * 1024)
#define HEAD_LONGEST_METHOD 32
#define HEAD_MOST_FIELDS 128

/* A part of the text that the head was read from. */
typedef struct {
    unsigned start, length;
} head_span;

typedef struct {
    head_span name, value; /* the value without the white space around it */
} head_field;

typedef enum { HEAD_INCOMPLETE, HEAD_COMPLETE, HEAD_WRONG } head_result;

/* Zeroed, it expects a request line. */
typedef struct {
    unsigned state, position; /* position: bytes read, and of a complete head its length */
    head_span method, target;
    unsigned major, minor; /* of the version: 1 and 0, or 1 and 1 or more */
    head_field *fields;
    unsigned count, room;
    unsigned status;     /* of one that is wrong: what to answer */
    const char *problem; /* and why; a static text */
} head;

/* Expects lines of fields alone: what follows the last chunk of a body. */
void head_expect_trailer(head *h);

/* Goes on reading; `text` holds from its first byte on what the earlier calls were given, and more. */
head_result head_read(head *h, const char *text, size_t length);

/* How many fields have this name, in lower case; *value is the last one's. */
unsigned head_find(const head *h, const char *text, const char *name, head_span *value);

/* Whether the part is this text in lower case, whatever its own. */
bool head_span_is(const char *text, head_span part, const char *lower);

/* A character of a token: of a method, of a field's name. */
bool head_is_token(unsigned char c);

void head_free(head *h);

#endif
