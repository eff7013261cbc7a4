/* known_hosts; see known_hosts.h. */
#include "ssh/known_hosts.h"

#include "base/files.h"
#include "ssh/key.h"
#include "ssh/wire.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LARGEST_FILE (64 * 1024 * 1024)
#define SHA1_SIZE 20
#define LONGEST_PATTERN 1023 /* OpenSSH takes no line with a longer name in it */

/* A file's text as it was at some time. One that became stale is kept while somebody has keys: known_key
 * points into it. */
typedef struct snapshot snapshot;
struct snapshot {
    snapshot *next;
    char *path, *text;
    size_t length;
    bool stale;
    struct stat status;
};

static snapshot *snapshots;
static size_t lists_in_use; /* of keys */

static bool same_version(const struct stat *a, const struct stat *b) {
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static char *read_all(const char *path, size_t size, size_t *length) {
    int fd, problem = files_open(path, O_RDONLY, &fd);
    if (problem) {
        errno = problem;
        return NULL;
    }
    char *text = malloc(size + 1);
    if (!text)
        abort();
    problem = files_read(fd, text, size, length);
    close(fd);
    text[*length] = '\0';
    if (!problem)
        return text;
    free(text);
    errno = problem;
    return NULL;
}

/* Why the file cannot be read, or 0. A directory and /dev/null are ways to have none. */
static int judge(const struct stat *status) {
    if (S_ISREG(status->st_mode))
        return status->st_size > LARGEST_FILE ? EFBIG : 0;
    int problem = files_judge(status);
    return problem && problem != EISDIR ? problem : ENOENT;
}

/* The newest snapshot of the file; NULL with errno set, to a problem as base/files.h has it, when it cannot
 * be read. */
static const snapshot *snapshot_of(const char *path) {
    struct stat status;
    if (stat(path, &status))
        return NULL;
    int problem = judge(&status);
    if (problem) {
        errno = problem;
        return NULL;
    }
    for (snapshot *known = snapshots; known; known = known->next) {
        if (known->stale || strcmp(known->path, path) != 0)
            continue;
        if (same_version(&known->status, &status))
            return known;
        known->stale = true;
    }
    size_t length;
    char *text = read_all(path, (size_t)status.st_size, &length);
    if (!text)
        return NULL;
    snapshot *fresh = malloc(sizeof *fresh);
    if (!fresh || !(fresh->path = strdup(path)))
        abort();
    fresh->text = text;
    fresh->length = length;
    fresh->stale = false;
    fresh->status = status;
    fresh->next = snapshots;
    snapshots = fresh;
    return fresh;
}

static void forget_snapshots(bool only_stale) {
    for (snapshot **at = &snapshots; *at;) {
        snapshot *old = *at;
        if (only_stale && !old->stale) {
            at = &old->next;
            continue;
        }
        *at = old->next;
        free(old->path);
        free(old->text);
        free(old);
    }
}

void known_hosts_close(void) {
    forget_snapshots(false);
}

/* ---- matching names ---- */

char *known_hosts_name(const char *host, int port) {
    char *name = malloc(strlen(host) + 16);
    if (!name)
        abort();
    sprintf(name, port == 22 ? "%s" : "[%s]:%d", host, port);
    for (char *c = name; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return name;
}

/* '*' stands for any text, '?' for one character. What fails after a '*' is tried again with one character
 * more under the last one only: that is enough, and patterns full of them take no longer. */
static bool matches_pattern(const char *name, const char *pattern, size_t length) {
    const char *end = pattern + length, *star = NULL, *retry = NULL;
    while (*name) {
        if (pattern < end && *pattern == '*') {
            star = ++pattern;
            retry = name;
        } else if (pattern < end && (*pattern == '?' || tolower((unsigned char)*pattern) == *name)) {
            pattern++, name++;
        } else if (star) {
            pattern = star;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (pattern < end && *pattern == '*')
        pattern++;
    return pattern == end;
}

/* "|1|salt|hash": the name's HMAC-SHA1 under the salt, both in base64. */
static bool matches_hash(const char *name, const char *hashed, size_t length) {
    unsigned char salt[64], hash[64], computed[EVP_MAX_MD_SIZE];
    size_t salt_length, hash_length;
    const char *bar = memchr(hashed + 3, '|', length - 3);
    if (!bar ||
        sodium_base642bin(salt, sizeof salt, hashed + 3, (size_t)(bar - hashed - 3), NULL, &salt_length, NULL,
                          sodium_base64_VARIANT_ORIGINAL) ||
        sodium_base642bin(hash, sizeof hash, bar + 1, (size_t)(hashed + length - bar - 1), NULL, &hash_length,
                          NULL, sodium_base64_VARIANT_ORIGINAL) ||
        hash_length != SHA1_SIZE || salt_length != SHA1_SIZE)
        return false;
    HMAC(EVP_sha1(), salt, (int)salt_length, (const unsigned char *)name, strlen(name), computed, NULL);
    return memcmp(computed, hash, SHA1_SIZE) == 0;
}

bool known_hosts_match(const char *name, const char *names, size_t length) {
    if (length > 0 && *names == '|')
        return length > 3 && memcmp(names, "|1|", 3) == 0 && matches_hash(name, names, length);
    bool matched = false;
    for (const char *end = names + length; names < end;) {
        const char *comma = memchr(names, ',', (size_t)(end - names));
        size_t size = (size_t)((comma ? comma : end) - names);
        bool negated = size > 0 && *names == '!';
        if (size - negated >= LONGEST_PATTERN)
            return false;
        if (matches_pattern(name, names + negated, size - negated)) {
            if (negated)
                return false;
            matched = true;
        }
        names += size + 1;
    }
    return matched;
}

/* ---- lines ---- */

/* Reads a line; true when it concerns this name. */
static bool read_line(const char *line, const char *end, const char *name, known_key *key) {
    unsigned char bytes[LARGEST_PUBLIC_KEY];
    size_t length;
    const char *names = public_key_word(&line, end, &length);
    key->mark = MARK_NONE;
    if (length == 0 || *names == '#')
        return false;
    if (*names == '@') {
        bool revoked = length == 8 && memcmp(names, "@revoked", 8) == 0;
        bool authority = length == 15 && memcmp(names, "@cert-authority", 15) == 0;
        if (!revoked && !authority)
            return false;
        key->mark = revoked ? MARK_REVOKED : MARK_AUTHORITY;
        names = public_key_word(&line, end, &length);
        if (length == 0 || *names == '@')
            return false;
    }
    return known_hosts_match(name, names, length) && public_key_parse(line, end, &key->key) &&
           public_key_decode(&key->key, bytes) > 0;
}

static void add_key(known_keys *keys, const known_key *key) {
    if (keys->count == keys->capacity) {
        keys->capacity = keys->capacity ? keys->capacity * 2 : 8;
        keys->list = realloc(keys->list, keys->capacity * sizeof *keys->list);
        if (!keys->list)
            abort();
    }
    keys->list[keys->count++] = *key;
}

void known_keys_free(known_keys *keys) {
    lists_in_use -= keys->in_use;
    free(keys->list);
    *keys = (known_keys){0};
    if (lists_in_use == 0)
        forget_snapshots(true);
}

void known_hosts_find(const char *file, const char *name, known_keys *keys, int *problem) {
    lists_in_use += !keys->in_use;
    keys->in_use = true;
    const snapshot *content = snapshot_of(file);
    *problem = content || errno == ENOENT || errno == ENOTDIR ? 0 : errno;
    if (!content)
        return;
    const char *at = content->text, *end = content->text + content->length;
    for (int line = 1; at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (!newline)
            newline = end;
        const char *zero =
            memchr(at, '\0', (size_t)(newline - at)); /* there OpenSSH stops reading the line */
        known_key key = {.file = content->path, .line = line};
        if (read_line(at, zero ? zero : newline, name, &key))
            add_key(keys, &key);
        at = newline + 1;
    }
}

/* ---- judging ---- */

static bool is_key(const known_key *key, const void *blob, size_t length) {
    unsigned char bytes[LARGEST_PUBLIC_KEY];
    return public_key_bytes(key->key.base64, key->key.base64_length, bytes) == length &&
           memcmp(bytes, blob, length) == 0;
}

void known_key_fingerprint(const public_key_text *key, char *text) {
    unsigned char bytes[LARGEST_PUBLIC_KEY];
    size_t size = public_key_bytes(key->base64, key->base64_length, bytes);
    if (size)
        key_fingerprint(bytes, size, text);
    else
        strcpy(text, "?");
}

bool known_key_is(const known_key *key, const char *type) {
    bool is_rsa = key->key.type_length == 12 && memcmp(key->key.type, "rsa-sha2-", 9) == 0;
    return is_rsa ? strcmp(type, "ssh-rsa") == 0
                  : strlen(type) == key->key.type_length &&
                        memcmp(type, key->key.type, key->key.type_length) == 0;
}

bool known_key_is_like(const known_key *key, const void *blob, size_t length) {
    char type[64];
    wire_reader reader = {blob, length, false};
    size_t size;
    const unsigned char *shown = wire_string(&reader, &size);
    snprintf(type, sizeof type, "%.*s", (int)size, (const char *)shown);
    return known_key_is(key, type);
}

bool known_key_is_revoked(const known_keys *keys, const known_key *key) {
    unsigned char bytes[LARGEST_PUBLIC_KEY];
    size_t size = public_key_bytes(key->key.base64, key->key.base64_length, bytes);
    for (const known_key *line = keys->list; line < keys->list + keys->count; line++)
        if (line->mark == MARK_REVOKED && is_key(line, bytes, size))
            return true;
    return false;
}

host_verdict known_hosts_judge(const known_keys *keys, const void *blob, size_t length,
                               const known_key **decisive) {
    const known_key *match = NULL, *clash = NULL, *other = NULL;
    *decisive = NULL;
    for (const known_key *key = keys->list; key < keys->list + keys->count; key++) {
        bool same = is_key(key, blob, length);
        if (key->mark == MARK_REVOKED && same) {
            *decisive = key;
            return HOST_REVOKED;
        }
        if (key->mark != MARK_NONE)
            continue;
        const known_key **first = same ? &match : known_key_is_like(key, blob, length) ? &clash : &other;
        *first = *first ? *first : key;
    }
    *decisive = match ? match : clash ? clash : other;
    return match ? HOST_MATCH : *decisive ? HOST_CHANGED : HOST_UNKNOWN;
}

/* ---- adding ---- */

static void make_directory_of(const char *file) {
    char directory[4096];
    snprintf(directory, sizeof directory, "%s", file);
    char *slash = strrchr(directory, '/');
    if (slash && slash != directory) {
        *slash = '\0';
        mkdir(directory, 0700); /* when it fails, opening the file says why */
    }
}

static bool ends_without_newline(int fd) {
    char last;
    off_t size = lseek(fd, 0, SEEK_END);
    return size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

int known_hosts_append(const char *file, const char *name, const void *blob, size_t length) {
    size_t type_length, encoded = sodium_base64_ENCODED_LEN(length, sodium_base64_VARIANT_ORIGINAL);
    wire_reader reader = {blob, length, false};
    const char *type = (const char *)wire_string(&reader, &type_length);
    char *base64 = malloc(encoded), date[64];
    time_t now = time(NULL);
    struct tm utc;
    ssh_buffer line = {NULL, 0, 0};
    if (!base64)
        abort();
    sodium_bin2base64(base64, encoded, blob, length, sodium_base64_VARIANT_ORIGINAL);
    strftime(date, sizeof date, " added %Y-%m-%dT%H:%M:%SZ by hostler\n", gmtime_r(&now, &utc));
    make_directory_of(file);
    int fd = -1, problem = files_open(file, O_RDWR | O_CREAT | O_APPEND, &fd);
    if (!problem) {
        flock(fd, LOCK_EX); /* held by others only for as long as a line takes */
        if (ends_without_newline(fd))
            buffer_add(&line, "\n", 1);
        buffer_add(&line, name, strlen(name));
        buffer_add(&line, " ", 1);
        buffer_add(&line, type, type_length);
        buffer_add(&line, " ", 1);
        buffer_add(&line, base64, strlen(base64));
        buffer_add(&line, date, strlen(date));
    }
    if (!problem)
        problem = files_write_all(fd, line.data, line.length);
    if (!problem && fsync(fd) && errno != EINVAL) /* what is trusted once stays so, also after a crash */
        problem = errno;
    if (fd >= 0)
        close(fd);
    buffer_free(&line);
    free(base64);
    return problem;
}
