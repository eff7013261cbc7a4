/* A body in chunks; see chunks.h. */
#include "web/chunks.h"

#include <stdbool.h>

#define MOST_DIGITS 15        /* of a size: it fits into 64 bits, with room */
#define LONGEST_EXTENSION 256 /* bytes of one chunk: a body of nothing else would have no end */

enum { SIZE, EXTENSION, SIZE_END, DATA, DATA_RETURN, DATA_END, ENDED, WRONG };

static int hexadecimal(unsigned char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static unsigned read_size(chunks *c, unsigned char byte) {
    int digit = hexadecimal(byte);
    if (digit >= 0 && c->digits < MOST_DIGITS) {
        c->left = c->left * 16 + (unsigned)digit;
        c->digits++;
        return SIZE;
    }
    if (c->digits == 0)
        return WRONG;
    return byte == ';' ? EXTENSION : byte == '\r' ? SIZE_END : WRONG;
}

static unsigned read_extension(chunks *c, unsigned char byte) {
    if (byte == '\r')
        return SIZE_END;
    bool is_text = (byte >= ' ' && byte != 0x7f) || byte == '\t';
    return is_text && ++c->extension < LONGEST_EXTENSION ? EXTENSION : WRONG;
}

static unsigned read_size_end(chunks *c, unsigned char byte) {
    c->digits = c->extension = 0;
    return byte != '\n' ? WRONG : c->left > 0 ? DATA : ENDED;
}

static unsigned step(chunks *c, unsigned char byte) {
    switch (c->state) {
    case SIZE:
        return read_size(c, byte);
    case EXTENSION:
        return read_extension(c, byte);
    case SIZE_END:
        return read_size_end(c, byte);
    case DATA_RETURN:
        return byte == '\r' ? DATA_END : WRONG;
    default: /* DATA_END */
        return byte == '\n' ? SIZE : WRONG;
    }
}

static size_t read_data(chunks *c, size_t available) {
    size_t count = available < c->left ? available : (size_t)c->left;
    c->left -= count;
    if (c->left == 0)
        c->state = DATA_RETURN;
    return count;
}

chunks_result chunks_read(chunks *c, const char *bytes, size_t length, size_t *used, size_t *count) {
    for (*used = 0; *used < length;) {
        if (c->state == DATA) {
            *count = read_data(c, length - *used);
            *used += *count;
            return CHUNKS_DATA;
        }
        c->state = step(c, (unsigned char)bytes[*used]);
        ++*used;
        if (c->state == WRONG || c->state == ENDED)
            return c->state == ENDED ? CHUNKS_END : CHUNKS_WRONG;
    }
    return CHUNKS_MORE;
}
