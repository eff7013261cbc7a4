/* The forms that secrets take in what people read, and their search; see scrub.h. */
#include "base/scrub.h"

#include <ctype.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHORTEST_SCRUBBED 6

/* The patterns that begin with one byte, longest first: an encoded form often contains the plain one. */
typedef struct pattern pattern;
struct pattern {
    pattern *next;
    size_t length;
    char text[];
};

static pattern *patterns[256];

static void *allocate(size_t size) {
    void *memory = malloc(size);
    if (!memory)
        abort(); /* going on would show secrets */
    return memory;
}

static void add_pattern(const char *text, size_t length) {
    if (length < SHORTEST_SCRUBBED)
        return;
    pattern **link = &patterns[(unsigned char)text[0]];
    for (; *link && (*link)->length >= length; link = &(*link)->next)
        if ((*link)->length == length && memcmp((*link)->text, text, length) == 0)
            return;
    pattern *added = allocate(sizeof *added + length);
    added->length = length;
    memcpy(added->text, text, length);
    added->next = *link;
    *link = added;
}

/* A text in base64 looks in three ways, depending on where in the encoded whole it begins ("user:password" of
 * HTTP's basic authentication); the characters that it shares with its neighbours are left out. */
static void add_base64(const char *text, size_t length, int variant) {
    unsigned char *shifted = allocate(length + 2);
    size_t room = sodium_base64_encoded_len(length + 2, variant);
    char *encoded = allocate(room);
    for (size_t shift = 0; shift < 3; shift++) {
        memset(shifted, 0, shift);
        memcpy(shifted + shift, text, length);
        sodium_bin2base64(encoded, room, shifted, shift + length, variant);
        size_t skipped = (shift * 8 + 5) / 6, whole = (shift + length) * 8 / 6;
        add_pattern(encoded + skipped, whole - skipped);
        if (shift == 0)
            add_pattern(encoded, strlen(encoded));
    }
    free(encoded);
    free(shifted);
}

/* Each escaper writes the form of one byte and returns its length; the longest form has six bytes. */
static size_t escape_url(char *out, unsigned char byte) {
    if (isalnum(byte) || strchr("-._~", byte))
        return (size_t)sprintf(out, "%c", byte);
    return (size_t)sprintf(out, "%%%02X", byte);
}

static size_t escape_url_lower(char *out, unsigned char byte) {
    return isalnum(byte) || strchr("-._~", byte) ? escape_url(out, byte)
                                                 : (size_t)sprintf(out, "%%%02x", byte);
}

static size_t escape_form(char *out, unsigned char byte) {
    return byte == ' ' ? (size_t)sprintf(out, "+") : escape_url(out, byte);
}

static size_t escape_shell(char *out, unsigned char byte) {
    return (size_t)(byte == '\'' ? sprintf(out, "'\\''") : sprintf(out, "%c", byte));
}

/* Between double quotes. */
static size_t escape_shell_double(char *out, unsigned char byte) {
    return (size_t)sprintf(out, byte && strchr("\"$`\\", byte) ? "\\%c" : "%c", byte);
}

static size_t escape_json(char *out, unsigned char byte) {
    static const char special[] = "\"\\\n\r\t\b\f", letters[] = "\"\\nrtbf";
    const char *found = byte ? strchr(special, byte) : NULL;
    if (found)
        return (size_t)sprintf(out, "\\%c", letters[found - special]);
    if (byte < 0x20)
        return (size_t)sprintf(out, "\\u%04x", byte);
    return (size_t)sprintf(out, "%c", byte);
}

/* As PHP and others write it. */
static size_t escape_json_slash(char *out, unsigned char byte) {
    return byte == '/' ? (size_t)sprintf(out, "\\/") : escape_json(out, byte);
}

typedef size_t (*escaper)(char *, unsigned char);

/* Adds the escaped form, and when it is `nested`, what JSON and a shell's quotes make of that in turn: a
 * command line that holds a document, a document that holds a command line. */
static void add_escaped(const char *text, size_t length, escaper escape, bool nested) {
    char *escaped = allocate(length * 6 + 1);
    size_t used = 0;
    for (size_t i = 0; i < length; i++)
        used += text[i] ? escape(escaped + used, (unsigned char)text[i]) : 0;
    add_pattern(escaped, used);
    if (nested) {
        add_escaped(escaped, used, escape_json, false);
        add_escaped(escaped, used, escape_shell, false);
    }
    free(escaped);
}

static void remember_forms(const char *text, size_t length) {
    static const escaper escapes[] = {escape_url,          escape_url_lower, escape_form,      escape_shell,
                                      escape_shell_double, escape_json,      escape_json_slash};
    if (length < SHORTEST_SCRUBBED)
        return;
    add_pattern(text, length);
    add_base64(text, length, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    add_base64(text, length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
        add_escaped(text, length, escapes[i], true);
}

/* The lines of a key or a certificate are secret one by one too: what prints them may cut or indent them. */
void scrub_remember(const char *text, size_t length) {
    remember_forms(text, length);
    const char *end = text + length;
    for (const char *line = text, *newline; line < end; line = newline + 1) {
        newline = memchr(line, '\n', (size_t)(end - line));
        if (!newline && line == text)
            return;
        newline = newline ? newline : end;
        size_t visible = (size_t)(newline - line);
        remember_forms(line, visible > 0 && line[visible - 1] == '\r' ? visible - 1 : visible);
    }
}

/* The length of the longest pattern that the text begins with, or 0. */
static size_t secret_length(const char *text, size_t left) {
    for (const pattern *p = patterns[(unsigned char)text[0]]; p; p = p->next)
        if (p->length <= left && memcmp(p->text, text, p->length) == 0)
            return p->length;
    return 0;
}

char *scrub(const char *text, size_t length, size_t *scrubbed_length) {
    /* A mask stands for at least SHORTEST_SCRUBBED bytes, so it adds at most this much. */
    size_t room = length + (length / SHORTEST_SCRUBBED + 1) * (sizeof SCRUB_MASK - 1 - SHORTEST_SCRUBBED) + 1;
    char *out = allocate(room);
    size_t used = 0, hidden_to = 0; /* secrets may overlap: all of both is hidden */
    for (size_t i = 0; i < length; i++) {
        size_t found = secret_length(text + i, length - i);
        if (found && i >= hidden_to) {
            memcpy(out + used, SCRUB_MASK, sizeof SCRUB_MASK - 1);
            used += sizeof SCRUB_MASK - 1;
        }
        if (i + found > hidden_to && found)
            hidden_to = i + found;
        if (i >= hidden_to)
            out[used++] = text[i];
    }
    out[used] = '\0';
    if (scrubbed_length)
        *scrubbed_length = used;
    return out;
}
