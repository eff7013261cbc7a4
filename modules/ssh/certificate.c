/* User certificates; see certificate.h. */
#include "ssh/certificate.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MOST_PRINCIPALS 256

/* After type and nonce come the key's own fields, as many as it has. */
static const struct {
    const char *type, *key_type;
    int fields;
} kinds[] = {
    {"ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519", 1},
    {"ssh-rsa-cert-v01@openssh.com", "ssh-rsa", 2},
    {"ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp256", 2},
    {"ecdsa-sha2-nistp384-cert-v01@openssh.com", "ecdsa-sha2-nistp384", 2},
    {"ecdsa-sha2-nistp521-cert-v01@openssh.com", "ecdsa-sha2-nistp521", 2},
    {"sk-ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519@openssh.com", 2},
    {"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com", 3},
};

static int kind_of(const ssh_buffer *blob) {
    for (int i = 0; i < (int)(sizeof kinds / sizeof *kinds); i++)
        if (wire_is_type((unsigned char *)blob->data, blob->length, kinds[i].type))
            return i;
    return -1;
}

bool certificate_is(const ssh_buffer *blob) {
    return kind_of(blob) >= 0;
}

/* Reads up to the key's fields, which it adds to `key` unless that is NULL. */
static wire_reader read_key(const ssh_buffer *certificate, int kind, ssh_buffer *key) {
    wire_reader reader = {(unsigned char *)certificate->data, certificate->length, false};
    size_t length;
    wire_string(&reader, &length); /* type */
    wire_string(&reader, &length); /* nonce */
    if (key)
        buffer_add_string(key, kinds[kind].key_type, strlen(kinds[kind].key_type));
    for (int i = 0; i < kinds[kind].fields && !reader.bad; i++) {
        const unsigned char *field = wire_string(&reader, &length);
        if (key && !reader.bad)
            buffer_add_string(key, field, length);
    }
    return reader;
}

bool certificate_is_of(const ssh_buffer *certificate, const ssh_buffer *key) {
    int kind = kind_of(certificate);
    if (kind < 0 || key->length == 0)
        return false;
    ssh_buffer plain = {NULL, 0, 0};
    wire_reader reader = read_key(certificate, kind, &plain);
    bool same = !reader.bad && plain.length == key->length && memcmp(plain.data, key->data, key->length) == 0;
    buffer_free(&plain);
    return same;
}

static uint64_t read_u64(wire_reader *reader) {
    uint64_t high = wire_u32(reader);
    return high << 32 | wire_u32(reader);
}

static bool names(const unsigned char *principals, size_t length, const char *user) {
    wire_reader reader = {principals, length, false};
    for (int i = 0; i < MOST_PRINCIPALS && reader.left > 0 && !reader.bad; i++) {
        size_t size;
        const unsigned char *name = wire_string(&reader, &size);
        if (!reader.bad && size == strlen(user) && memcmp(name, user, size) == 0)
            return true;
    }
    return false;
}

static void show_time(uint64_t moment, char text[32]) {
    time_t seconds = (time_t)moment;
    struct tm parts;
    if (!gmtime_r(&seconds, &parts) || !strftime(text, 32, "%Y-%m-%d %H:%M UTC", &parts))
        snprintf(text, 32, "%ju", (uintmax_t)moment);
}

void certificate_problem(const ssh_buffer *certificate, const char *user, char *text, size_t size) {
    int kind = kind_of(certificate);
    size_t length;
    char when[32];
    *text = '\0';
    if (kind < 0)
        return;
    wire_reader reader = read_key(certificate, kind, NULL);
    read_u64(&reader); /* its serial number */
    uint32_t is_for_hosts = wire_u32(&reader) != 1;
    wire_string(&reader, &length); /* its name */
    const unsigned char *principals = wire_string(&reader, &length);
    uint64_t after = read_u64(&reader), before = read_u64(&reader), now = (uint64_t)time(NULL);
    if (reader.bad) {
        snprintf(text, size, "it is damaged");
    } else if (is_for_hosts) {
        snprintf(text, size, "it is a host's certificate");
    } else if (now < after) {
        show_time(after, when);
        snprintf(text, size, "it is valid from %s on", when);
    } else if (now >= before) {
        show_time(before, when);
        snprintf(text, size, "it expired at %s", when);
    } else if (length > 0 && !names(principals, length, user)) {
        snprintf(text, size, "it does not name '%s'", user);
    }
}
