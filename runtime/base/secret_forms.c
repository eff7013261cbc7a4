/* The forms that a secret takes in what people read; see secret_forms.h. */
#include "base/secret_forms.h"

#include <ctype.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whom the forms are told. */
typedef struct {
    form_taker take;
    void *data;
} taker;

static void *allocate(size_t size) {
    void *memory = malloc(size);
    if (!memory)
        abort(); /* going on would show secrets */
    return memory;
}

static void take_form(const taker *t, const char *text, size_t length) {
    t->take(t->data, text, length);
}

/* What held a form is not left behind. */
static void discard(void *memory, size_t size) {
    sodium_memzero(memory, size);
    free(memory);
}

/* Each escaper writes the form of one byte and returns its length; the longest form has LONGEST_ESCAPE bytes.
 */
typedef size_t (*escaper)(char *, unsigned char);
#define LONGEST_ESCAPE 6

static size_t keep(char *out, unsigned char byte) {
    *out = (char)byte;
    return 1;
}

static bool is_one_of(const char *list, unsigned char byte) {
    return byte && strchr(list, byte);
}

static size_t put(char *out, const char *text) {
    return (size_t)sprintf(out, "%s", text);
}

static size_t escape_url(char *out, unsigned char byte) {
    return isalnum(byte) || is_one_of("-._~", byte) ? keep(out, byte) : (size_t)sprintf(out, "%%%02X", byte);
}

static size_t escape_url_lower(char *out, unsigned char byte) {
    return isalnum(byte) || is_one_of("-._~", byte) ? keep(out, byte) : (size_t)sprintf(out, "%%%02x", byte);
}

static size_t escape_form(char *out, unsigned char byte) {
    return byte == ' ' ? put(out, "+") : escape_url(out, byte);
}

static size_t escape_html(char *out, unsigned char byte) {
    return byte == '&'    ? put(out, "&amp;")
           : byte == '<'  ? put(out, "&lt;")
           : byte == '>'  ? put(out, "&gt;")
           : byte == '"'  ? put(out, "&quot;")
           : byte == '\'' ? put(out, "&#39;")
                          : keep(out, byte);
}

static size_t escape_shell(char *out, unsigned char byte) {
    return byte == '\'' ? put(out, "'\\''") : keep(out, byte);
}

/* As Python's shlex writes it. */
static size_t escape_shell_python(char *out, unsigned char byte) {
    return byte == '\'' ? put(out, "'\"'\"'") : keep(out, byte);
}

static size_t escape_with_backslash(char *out, unsigned char byte, const char *special) {
    if (!is_one_of(special, byte))
        return keep(out, byte);
    out[0] = '\\';
    out[1] = (char)byte;
    return 2;
}

static size_t escape_shell_double(char *out, unsigned char byte) {
    return escape_with_backslash(out, byte, "\"$`\\");
}

/* Outside of quotes, as bash's printf %q has it. */
static size_t escape_shell_bare(char *out, unsigned char byte) {
    return escape_with_backslash(out, byte, " !\"$&'()*,;<>?[\\]^`{|}");
}

static size_t escape_sql(char *out, unsigned char byte) {
    return byte == '\'' ? put(out, "''") : keep(out, byte);
}

static size_t escape_json(char *out, unsigned char byte) {
    static const char special[] = "\"\\\n\r\t\b\f", letters[] = "\"\\nrtbf";
    const char *found = byte ? strchr(special, byte) : NULL;
    if (found)
        return (size_t)sprintf(out, "\\%c", letters[found - special]);
    return byte < 0x20 ? (size_t)sprintf(out, "\\u%04x", byte) : keep(out, byte);
}

/* As PHP and others write it. */
static size_t escape_json_slash(char *out, unsigned char byte) {
    return byte == '/' ? put(out, "\\/") : escape_json(out, byte);
}

/* As Go writes it: fit to stand in HTML. */
static size_t escape_json_html(char *out, unsigned char byte) {
    return is_one_of("<>&", byte) ? (size_t)sprintf(out, "\\u%04x", byte) : escape_json(out, byte);
}

/* As .NET writes it, whose digits are capitals. */
static size_t escape_json_digits(char *out, unsigned char byte) {
    return is_one_of("\"&'+<>`", byte) ? (size_t)sprintf(out, "\\u%04X", byte) : escape_json(out, byte);
}

static const escaper escapers[] = {escape_url,          escape_url_lower,
                                   escape_form,         escape_html,
                                   escape_shell,        escape_shell_python,
                                   escape_shell_double, escape_sql,
                                   escape_shell_bare,   escape_json_slash,
                                   escape_json_html,    escape_json_digits,
                                   escape_json,         NULL};
static const escaper escapers_of_json[] = {escape_json, escape_json_slash, escape_json_html,
                                           escape_json_digits, NULL};
/* What is encoded may stand in a document, in a command line, and in an address. */
static const escaper escapers_of_forms[] = {escape_json, escape_shell, NULL};
static const escaper escapers_of_base64[] = {escape_url, escape_url_lower, escape_json_slash, NULL};

/* Tells the escaped form where it is another one than the text, and what the escapers `again` make of that.
 */
static void tell_escaped(const taker *t, const char *text, size_t length, escaper escape,
                         const escaper *again) {
    size_t room = length * LONGEST_ESCAPE + 1, used = 0;
    char *escaped = allocate(room);
    for (size_t i = 0; i < length; i++)
        used += text[i] ? escape(escaped + used, (unsigned char)text[i]) : 0;
    if (used != length || memcmp(escaped, text, length) != 0) {
        take_form(t, escaped, used);
        for (; again && *again; again++)
            tell_escaped(t, escaped, used, *again, NULL);
    }
    discard(escaped, room);
}

static void tell_all_escaped(const taker *t, const char *text, size_t length, const escaper *list,
                             const escaper *again) {
    for (; *list; list++)
        tell_escaped(t, text, length, *list, again);
}

/* The character of UTF-8 at the text; its length, or 0 where there is none of more than one byte. */
static size_t wide_character(const unsigned char *text, size_t left, uint32_t *character) {
    size_t length = *text >= 0xF0 ? 4 : *text >= 0xE0 ? 3 : *text >= 0xC2 ? 2 : 0;
    if (length == 0 || length > left)
        return 0;
    *character = *text & (0xFF >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xC0) != 0x80)
            return 0;
        *character = *character << 6 | (text[i] & 0x3F);
    }
    return length;
}

/* In UTF-16, as JSON wants it (RFC 8259, section 7). */
static size_t put_wide(char *out, uint32_t character, const char *format) {
    if (character < 0x10000)
        return (size_t)sprintf(out, format, (unsigned)character);
    character -= 0x10000;
    size_t length = (size_t)sprintf(out, format, (unsigned)(0xD800 | (character >> 10 & 0x3FF)));
    return length + (size_t)sprintf(out + length, format, (unsigned)(0xDC00 | (character & 0x3FF)));
}

/* Tells the text as JSON in ASCII, where that is another one than JSON in UTF-8. */
static void tell_json_in_ascii(const taker *t, const char *text, size_t length, escaper escape,
                               const char *format) {
    size_t room = length * LONGEST_ESCAPE + 1, used = 0, wide = 0;
    char *escaped = allocate(room);
    for (size_t i = 0, taken; i < length; i += taken) {
        uint32_t character = 0;
        taken = wide_character((const unsigned char *)text + i, length - i, &character);
        if (taken > 0)
            used += put_wide(escaped + used, character, format);
        else
            used += text[i] ? escape(escaped + used, (unsigned char)text[i]) : 0;
        wide += taken;
        taken += taken == 0;
    }
    if (wide > 0) {
        take_form(t, escaped, used);
        tell_escaped(t, escaped, used, escape_json, NULL);
    }
    discard(escaped, room);
}

/* A text in base64 looks in three ways, depending on where in the encoded whole it begins ("user:password" of
 * HTTP's basic authentication); the characters that it shares with its neighbours are left out. */
static void tell_base64(const taker *t, const char *text, size_t length, int variant) {
    size_t room = sodium_base64_encoded_len(length + 2, variant);
    unsigned char *shifted = allocate(length + 2);
    char *encoded = allocate(room);
    for (size_t shift = 0; shift < 3; shift++) {
        memset(shifted, 0, shift);
        memcpy(shifted + shift, text, length);
        sodium_bin2base64(encoded, room, shifted, shift + length, variant);
        size_t skipped = (shift * 8 + 5) / 6, whole = (shift + length) * 8 / 6;
        take_form(t, encoded + skipped, whole - skipped);
        tell_all_escaped(t, encoded + skipped, whole - skipped, escapers_of_base64, NULL);
        if (shift == 0)
            take_form(t, encoded, strlen(encoded));
    }
    discard(encoded, room);
    discard(shifted, length + 2);
}

static void tell_digits(const taker *t, const char *text, size_t length) {
    size_t room = length * 2 + 1;
    char *digits = allocate(room);
    sodium_bin2hex(digits, room, (const unsigned char *)text, length);
    take_form(t, digits, room - 1);
    for (size_t i = 0; i < room - 1; i++)
        digits[i] = (char)toupper((unsigned char)digits[i]);
    take_form(t, digits, room - 1);
    discard(digits, room);
}

void secret_forms(const char *text, size_t length, form_taker take, void *data) {
    const taker t = {take, data};
    take_form(&t, text, length);
    tell_base64(&t, text, length, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    tell_base64(&t, text, length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    tell_digits(&t, text, length);
    tell_all_escaped(&t, text, length, escapers, escapers_of_forms);
    for (const escaper *escape = escapers_of_json; *escape; escape++) {
        tell_json_in_ascii(&t, text, length, *escape, "\\u%04x");
        tell_json_in_ascii(&t, text, length, *escape, "\\u%04X");
    }
}
