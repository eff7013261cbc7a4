/* SSH's wire format; see wire.h. */
#include "ssh/wire.h"

#include <stdlib.h>
#include <string.h>

void buffer_add(ssh_buffer *buffer, const void *data, size_t length) {
    if (length > buffer->capacity - buffer->length) {
        size_t capacity = buffer->capacity ? buffer->capacity : 512;
        while (capacity - buffer->length < length)
            capacity *= 2;
        buffer->data = realloc(buffer->data, capacity);
        if (!buffer->data)
            abort();
        buffer->capacity = capacity;
    }
    if (length)
        memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
}

void buffer_add_u32(ssh_buffer *buffer, uint32_t number) {
    const unsigned char bytes[] = {(unsigned char)(number >> 24), (unsigned char)(number >> 16),
                                   (unsigned char)(number >> 8), (unsigned char)number};
    buffer_add(buffer, bytes, sizeof bytes);
}

void buffer_add_string(ssh_buffer *buffer, const void *data, size_t length) {
    buffer_add_u32(buffer, (uint32_t)length);
    buffer_add(buffer, data, length);
}

void buffer_add_mpint(ssh_buffer *buffer, const unsigned char *bytes, size_t length) {
    while (length > 0 && *bytes == 0)
        bytes++, length--;
    bool looks_negative = length > 0 && *bytes & 0x80;
    buffer_add_u32(buffer, (uint32_t)(length + looks_negative));
    if (looks_negative)
        buffer_add(buffer, "", 1);
    buffer_add(buffer, bytes, length);
}

void buffer_drop(ssh_buffer *buffer, size_t length) {
    buffer->length -= length;
    memmove(buffer->data, buffer->data + length, buffer->length);
}

void buffer_free(ssh_buffer *buffer) {
    free(buffer->data);
    memset(buffer, 0, sizeof *buffer);
}

uint32_t wire_u32(wire_reader *reader) {
    if (reader->bad || reader->left < 4) {
        reader->bad = true;
        return 0;
    }
    const unsigned char *b = reader->at;
    reader->at += 4;
    reader->left -= 4;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

const unsigned char *wire_string(wire_reader *reader, size_t *length) {
    uint32_t size = wire_u32(reader);
    if (reader->bad || size > reader->left) {
        reader->bad = true;
        *length = 0;
        return (const unsigned char *)"";
    }
    const unsigned char *found = reader->at;
    reader->at += size;
    reader->left -= size;
    *length = size;
    return found;
}

bool wire_is_type(const unsigned char *blob, size_t length, const char *type) {
    wire_reader reader = {blob, length, false};
    size_t size;
    const unsigned char *name = wire_string(&reader, &size);
    return !reader.bad && size == strlen(type) && memcmp(name, type, size) == 0;
}
