/* SSH's wire format (RFC 4251, section 5), and a growable buffer. Shared by the agent, the keys and the
 * sessions. */
#ifndef HOSTLER_SSH_WIRE_H
#define HOSTLER_SSH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    char *data;
    size_t length, capacity;
} ssh_buffer;

/* Appending aborts the process when memory is gone: what is appended is bounded by its caller. */
void buffer_add(ssh_buffer *buffer, const void *data, size_t length);
void buffer_add_u32(ssh_buffer *buffer, uint32_t number);
void buffer_add_string(ssh_buffer *buffer, const void *data, size_t length);
/* An unsigned big-endian number as an mpint: without leading zeros, not negative. */
void buffer_add_mpint(ssh_buffer *buffer, const unsigned char *bytes, size_t length);
/* Drops the first `length` bytes. */
void buffer_drop(ssh_buffer *buffer, size_t length);
void buffer_free(ssh_buffer *buffer);

/* Reads from bytes that may be malformed: after an overrun `bad` is set and everything read is empty. */
typedef struct {
    const unsigned char *at;
    size_t left;
    bool bad;
} wire_reader;

uint32_t wire_u32(wire_reader *reader);
const unsigned char *wire_string(wire_reader *reader, size_t *length);

/* True when the first string in the blob (the key or signature type) is `type`. */
bool wire_is_type(const unsigned char *blob, size_t length, const char *type);

#endif
