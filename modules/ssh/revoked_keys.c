/* See revoked_keys.h. */
#include "ssh/revoked_keys.h"

#include "base/files.h"
#include "ssh/public_key.h"
#include "ssh/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <string.h>
#include <unistd.h>

#define MAGIC "SSHKRL\n"
#define FORMAT_VERSION 1
#define LARGEST_FILE (64 * 1024 * 1024)

enum {
    SECTION_CERTIFICATES = 1,
    SECTION_KEYS,
    SECTION_SHA1,
    SECTION_SIGNATURE,
    SECTION_SHA256,
    SECTION_EXTENSION = 255
};

/* The key that is looked for, in the forms that a list may have it. */
typedef struct {
    const void *blob;
    size_t length;
    unsigned char sha1[SHA_DIGEST_LENGTH], sha256[SHA256_DIGEST_LENGTH];
} suspect;

static const char *const malformed = "it is neither a list of public keys nor a key revocation list";

static const char *read_file(const char *path, ssh_buffer *text) {
    char bytes[16 * 1024];
    size_t count = sizeof bytes;
    int fd, problem = files_open(path, O_RDONLY, &fd);
    if (problem)
        return files_reason(problem);
    while (count == sizeof bytes && !problem) {
        problem = files_read(fd, bytes, sizeof bytes, &count);
        buffer_add(text, bytes, count);
        if (text->length > LARGEST_FILE)
            problem = EFBIG;
    }
    close(fd);
    return problem ? files_reason(problem) : NULL;
}

/* ---- lists of public keys ---- */

static revocation check_line(const char *line, const char *end, const suspect *key, const char **problem) {
    unsigned char bytes[LARGEST_PUBLIC_KEY];
    public_key_text text;
    const char *at = line;
    size_t length;
    public_key_word(&at, end, &length);
    if (length == 0 || at[-(ptrdiff_t)length] == '#')
        return KEY_NOT_REVOKED;
    size_t size = public_key_parse(line, end, &text) ? public_key_decode(&text, bytes) : 0;
    if (size == 0) {
        *problem = malformed;
        return REVOCATIONS_UNREADABLE;
    }
    return size == key->length && memcmp(bytes, key->blob, size) == 0 ? KEY_REVOKED : KEY_NOT_REVOKED;
}

static revocation check_list(const ssh_buffer *text, const suspect *key, const char **problem) {
    const char *at = text->data, *end = at + text->length;
    revocation found = KEY_NOT_REVOKED;
    while (at < end && found == KEY_NOT_REVOKED) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        newline = newline ? newline : end;
        const char *zero = memchr(at, '\0', (size_t)(newline - at));
        found = check_line(at, zero ? zero : newline, key, problem);
        at = newline + 1;
    }
    return found;
}

/* ---- key revocation lists ---- */

static unsigned char wire_byte(wire_reader *reader) {
    if (reader->bad || reader->left < 1) {
        reader->bad = true;
        return 0;
    }
    reader->left--;
    return *reader->at++;
}

static bool lists(wire_reader *section, const void *wanted, size_t length) {
    bool found = false;
    while (section->left > 0 && !section->bad) {
        size_t size;
        const unsigned char *entry = wire_string(section, &size);
        found = found || (!section->bad && size == length && memcmp(entry, wanted, size) == 0);
    }
    return found;
}

/* Reads one section; sets reader->bad for one that must be understood and is not. */
static bool section_revokes(wire_reader *reader, const suspect *key) {
    unsigned char type = wire_byte(reader);
    size_t size;
    const unsigned char *bytes = wire_string(reader, &size);
    wire_reader section = {bytes, size, reader->bad};
    bool found = false;
    if (type == SECTION_KEYS) {
        found = lists(&section, key->blob, key->length);
    } else if (type == SECTION_SHA1) {
        found = lists(&section, key->sha1, sizeof key->sha1);
    } else if (type == SECTION_SHA256) {
        found = lists(&section, key->sha256, sizeof key->sha256);
    } else if (type == SECTION_SIGNATURE) {
        wire_string(reader, &size); /* the section has held its key */
    } else if (type == SECTION_EXTENSION) {
        wire_string(&section, &size);
        section.bad = section.bad || wire_byte(&section) != 0; /* critical */
    } else if (type != SECTION_CERTIFICATES) {
        reader->bad = true;
    }
    reader->bad = reader->bad || section.bad;
    return found;
}

static revocation check_revocation_list(const ssh_buffer *text, const suspect *key, const char **problem) {
    wire_reader reader = {(unsigned char *)text->data + sizeof MAGIC, text->length - sizeof MAGIC, false};
    size_t size;
    bool found = false, supported = wire_u32(&reader) == FORMAT_VERSION;
    for (int i = 0; i < 6; i++) /* its own version, date and flags, of 64 bits each */
        wire_u32(&reader);
    wire_string(&reader, &size); /* reserved */
    wire_string(&reader, &size); /* comment */
    while (supported && reader.left > 0 && !reader.bad)
        found = section_revokes(&reader, key) || found;
    if (!supported || reader.bad) {
        *problem = "it is a key revocation list that is cut off or of a form that is not known here";
        return REVOCATIONS_UNREADABLE;
    }
    return found ? KEY_REVOKED : KEY_NOT_REVOKED;
}

revocation revoked_keys_check(const char *file, const void *blob, size_t length, const char **problem) {
    ssh_buffer text = {NULL, 0, 0};
    suspect key = {.blob = blob, .length = length};
    SHA1(blob, length, key.sha1);
    SHA256(blob, length, key.sha256);
    *problem = read_file(file, &text);
    revocation found = *problem ? REVOCATIONS_UNREADABLE
                       : text.length >= sizeof MAGIC && memcmp(text.data, MAGIC, sizeof MAGIC) == 0
                           ? check_revocation_list(&text, &key, problem)
                       : text.length > 0 ? check_list(&text, &key, problem)
                                         : KEY_NOT_REVOKED;
    buffer_free(&text);
    return found;
}
